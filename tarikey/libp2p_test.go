package tarikey

import (
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestPeerID(t *testing.T) {
	k := newKey(t)
	id, err := peer.IDFromPublicKey(k.Public().Libp2p())
	if err != nil || id != k.Public().PeerID() {
		t.Fatalf("go-libp2p derives %q, %v; we derive %q", id, err, k.Public().PeerID())
	}
	if id, err = peer.Decode(id.String()); err != nil {
		t.Fatal(err)
	}
	if got, err := PublicKeyFromPeerID(id); err != nil || got != k.Public() {
		t.Errorf("PublicKeyFromPeerID = %s, %v", got, err)
	}
	extracted, err := id.ExtractPublicKey()
	if err != nil || !extracted.Equals(k.Public().Libp2p()) {
		t.Errorf("ExtractPublicKey = %v, %v", extracted, err)
	}
	if !id.MatchesPrivateKey(k.Libp2p()) {
		t.Error("the peer id does not match its private key")
	}

	for _, bad := range []peer.ID{"", "x", id[:37], id + "x", "\x00\x24\x08\x01\x12\x20" + id[6:]} {
		if _, err := PublicKeyFromPeerID(bad); !errors.Is(err, ErrNotTariKey) {
			t.Errorf("%q: %v", string(bad), err)
		}
	}
	zero := PublicKey{}.PeerID()
	if _, err := PublicKeyFromPeerID(zero); !errors.Is(err, ErrIdentityPoint) {
		t.Errorf("the zero key's peer id: %v", err)
	}
}

func TestLibp2pKeys(t *testing.T) {
	k := newKey(t)
	private, err := crypto.MarshalPrivateKey(k.Libp2p())
	if err != nil {
		t.Fatal(err)
	}
	sk, err := crypto.UnmarshalPrivateKey(private)
	if err != nil || !sk.Equals(k.Libp2p()) || sk.Type() != KeyType {
		t.Fatalf("private key: %v", err)
	}
	marshalled, err := crypto.MarshalPublicKey(sk.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	pk, err := crypto.UnmarshalPublicKey(marshalled)
	if err != nil || !pk.Equals(k.Public().Libp2p()) || pk.Type() != KeyType {
		t.Fatalf("public key: %v", err)
	}
	if pk.Equals(sk) || sk.Equals(pk) || pk.Equals(newKey(t).Public().Libp2p()) || sk.Equals(newKey(t).Libp2p()) {
		t.Error("different keys are equal")
	}

	sig, err := sk.Sign([]byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := pk.Verify([]byte("data"), sig); !ok || err != nil {
		t.Errorf("Verify = %v, %v", ok, err)
	}
	for name, try := range map[string]struct{ data, sig []byte }{
		"other data":  {[]byte("date"), sig},
		"short":       {[]byte("data"), sig[:63]},
		"empty":       {[]byte("data"), nil},
		"zero nonce":  {[]byte("data"), append(make([]byte, 32), sig[32:]...)},
		"other nonce": {[]byte("data"), append(k.Public().Bytes(), sig[32:]...)},
	} {
		if ok, err := pk.Verify(try.data, try.sig); ok || err == nil {
			t.Errorf("%s: Verify = %v, %v", name, ok, err)
		}
	}
	if _, err := crypto.UnmarshalPublicKey([]byte{8, 4, 18, 1, 0}); !errors.Is(err, ErrLength) {
		t.Errorf("public key of one byte: %v", err)
	}
}
