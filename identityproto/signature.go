package identityproto

import (
	"encoding/binary"
	"time"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// The domain of the hash that a claim's signature signs.
const (
	signatureDomain        = "com.tari.comms.core.peer_manager"
	signatureLabel         = "identity_signature"
	signatureDomainVersion = 1
)

// maxFuture is how far ahead of our clock a claim may be dated.
const maxFuture = 24 * time.Hour

// challenge is what a claim's signature signs, in this order: key, nonce,
// version (1 byte), time (u64 little-endian seconds), features (u32
// little-endian), each address in its binary form.
func (c *Claim) challenge(nonce tarikey.PublicKey, version byte, at time.Time) (out [64]byte) {
	h := tarikey.NewDomainHash(64, signatureDomain, signatureDomainVersion, signatureLabel)
	h.Chain(c.Key.Bytes())
	h.Chain(nonce.Bytes())
	h.Chain([]byte{version})
	h.Chain(binary.LittleEndian.AppendUint64(nil, uint64(at.Unix())))
	h.Chain(binary.LittleEndian.AppendUint32(nil, uint32(c.Features)))
	for _, a := range c.Addresses {
		h.Chain(a.Bytes())
	}
	copy(out[:], h.Sum())
	return out
}

// Sign signs the claim with the time now and sets its key to sk's.
func (c *Claim) Sign(sk tarikey.SecretKey, now time.Time) error {
	at := now.UTC().Truncate(time.Second)
	c.Key = sk.Public()
	sig, err := sk.Sign(func(nonce tarikey.PublicKey) [64]byte { return c.challenge(nonce, 0, at) })
	if err != nil {
		return err
	}
	c.Signature = &Signature{Signature: sig, UpdatedAt: at}
	return nil
}

// VerifySignature holds the signature against the claim's key and the time now.
// Its errors are of the kinds KindNoSignature, KindSignature and KindFuture.
func (c *Claim) VerifySignature(now time.Time) error { return c.verifyUnlessKnown(now, nil) }

func (c *Claim) verifyUnlessKnown(now time.Time, known *Verified) error {
	s := c.Signature
	if s == nil {
		return fail(KindNoSignature, "the claim is not signed")
	}
	if s.UpdatedAt.Unix() < 0 {
		return fail(KindSignature, "the signature is dated before 1970")
	}
	challenge := c.challenge(s.Nonce, s.Version, s.UpdatedAt)
	if !known.has(challenge, s.S) {
		if err := c.Key.Verify(challenge, s.Signature); err != nil {
			return wrap(KindSignature, err)
		}
		known.add(challenge, s.S)
	}
	if s.UpdatedAt.After(now.Add(maxFuture)) {
		return fail(KindFuture, "signed more than a day ahead of our clock, at %s: one of the two clocks is wrong", s.UpdatedAt.Format(time.RFC3339))
	}
	return nil
}
