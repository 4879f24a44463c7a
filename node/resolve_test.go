package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// openNode opens a node in memory that does not run.
func openNode(t *testing.T) *Node {
	t.Helper()
	n, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func newKey(t *testing.T) tarikey.PublicKey {
	t.Helper()
	key, err := tarikey.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key.Public()
}

// failureKind is the kind of a failure, "" for none.
func failureKind(err error) FailureKind {
	if err == nil {
		return ""
	}
	return FailureOf(err).Kind
}

func TestResolve(t *testing.T) {
	n := openNode(t)
	known, banned, stranger := newKey(t), newKey(t), newKey(t)
	if err := n.Peers.Put(peerbook.Record{Key: known}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []error{
		n.Peers.Put(peerbook.Record{Key: banned}),
		n.Peers.Ban(banned.PeerID(), peerbook.Forever, "x"),
		n.Peers.Remove(banned.PeerID()), // its ban stays, so it can be named
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	const at = "::/ip4/203.0.113.7/tcp/18189"
	for _, c := range []struct {
		name, text string
		want       tarikey.PublicKey
		addrs      int
		kind       FailureKind
	}{
		{"key", known.String(), known, 0, ""},
		{"key in capitals", strings.ToUpper(known.String()), known, 0, ""},
		{"key of a stranger", stranger.String(), stranger, 0, ""},
		{"key and address", stranger.String() + at, stranger, 1, ""},
		{"key and two addresses", known.String() + at + at, known, 2, ""},
		{"node id", known.NodeID().String(), known, 0, ""},
		{"beginning of a key", known.String()[:20], known, 0, ""},
		{"all of a key but the last digit", known.String()[:63], known, 0, ""},
		{"beginning of a node id in capitals", strings.ToUpper(known.NodeID().String()[:21]), known, 0, ""},
		{"banned and removed, by node id", banned.NodeID().String(), banned, 0, ""},
		{"banned and removed, by its beginning", banned.String()[:20], banned, 0, ""},
		{"node id of a stranger", stranger.NodeID().String(), tarikey.PublicKey{}, 0, FailNotFound},
		{"beginning of a stranger", stranger.String()[:20], tarikey.PublicKey{}, 0, FailNotFound},
		{"nothing", "", tarikey.PublicKey{}, 0, FailUsage},
		{"no hexadecimal", "xyz", tarikey.PublicKey{}, 0, FailUsage},
		{"no point", strings.Repeat("f", 64), tarikey.PublicKey{}, 0, FailUsage},
		{"too long", known.String() + "0", tarikey.PublicKey{}, 0, FailUsage},
		{"no address behind the key", known.String() + "::", tarikey.PublicKey{}, 0, FailUsage},
		{"address alone", "/ip4/203.0.113.7/tcp/18189", tarikey.PublicKey{}, 0, FailUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := n.resolve(c.text)
			if p.Key != c.want && err == nil || len(p.Addrs) != c.addrs || failureKind(err) != c.kind {
				t.Errorf("%q is %v, %v", c.text, p, err)
			}
			if err := CheckPeer(c.text); (err != nil) != (c.kind == FailUsage) {
				t.Errorf("CheckPeer(%q): %v", c.text, err)
			}
		})
	}
}

// A prefix that fits several peers lists at most five of them, with their whole keys, and how many there are.
func TestResolveAmbiguous(t *testing.T) {
	n := openNode(t)
	fits := map[string][]string{} // by first digit
	for range 200 {
		key := newKey(t)
		if err := n.Peers.Put(peerbook.Record{Key: key}); err != nil {
			t.Fatal(err)
		}
		digits := []string{key.String()[:1], key.NodeID().String()[:1]}
		slices.Sort(digits)
		for _, d := range slices.Compact(digits) {
			fits[d] = append(fits[d], key.String())
		}
	}
	for digit, keys := range fits {
		_, err := n.resolve(digit)
		if len(keys) <= maxNamed {
			continue // with 200 keys most digits have more
		}
		if failureKind(err) != FailUsage || !strings.Contains(err.Error(), fmt.Sprintf("fits %d peers", len(keys))) {
			t.Fatalf("%s: %v, want %d peers", digit, err, len(keys))
		}
		listed := 0
		for _, key := range keys {
			if strings.Contains(err.Error(), key) {
				listed++
			}
		}
		if listed != maxNamed || !strings.HasSuffix(err.Error(), fmt.Sprintf("%d more", len(keys)-maxNamed)) {
			t.Errorf("lists %d: %v", listed, err)
		}
	}
}

func TestAnotherIsNotUs(t *testing.T) {
	n := openNode(t)
	if _, err := n.another(n.Identity.String()); failureKind(err) != FailUsage || !errors.As(err, new(*Failure)) {
		t.Errorf("ourselves: %v", err)
	}
}
