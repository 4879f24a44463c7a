package seeds

import (
	"crypto"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// zoneKey is a signed zone: its one key.
type zoneKey struct {
	dns    *dns.DNSKEY
	signer crypto.Signer
}

func newZone(t *testing.T, zone string) *zoneKey {
	t.Helper()
	k := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 60},
		Flags: dns.ZONE | dns.SEP, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}
	secret, err := k.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	return &zoneKey{k, secret.(crypto.Signer)}
}

func (k *zoneKey) ds() *dns.DS { return k.dns.ToDS(dns.SHA256) }

// sign signs a set, from then for an hour.
func (k *zoneKey) sign(t *testing.T, from time.Time, set ...dns.RR) *dns.RRSIG {
	t.Helper()
	s := &dns.RRSIG{
		Hdr:        dns.RR_Header{Ttl: 60},
		Algorithm:  k.dns.Algorithm,
		Expiration: uint32(from.Add(time.Hour).Unix()), Inception: uint32(from.Add(-time.Minute).Unix()),
		KeyTag: k.dns.KeyTag(), SignerName: k.dns.Hdr.Name,
	}
	if err := s.Sign(k.signer, set); err != nil {
		t.Fatal(err)
	}
	return s
}

// signedTree is a root, a zone "test." and a zone "example.test.", all signed.
type signedTree struct {
	root, top, zone *zoneKey
	answers         map[string][]dns.RR // by type and name
}

func newTree(t *testing.T) *signedTree {
	t.Helper()
	now := time.Now()
	s := &signedTree{root: newZone(t, "."), top: newZone(t, "test."), zone: newZone(t, "example.test."), answers: map[string][]dns.RR{}}
	record, err := dns.NewRR(txt(seed))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []*zoneKey{s.root, s.top, s.zone} {
		s.put(k.dns, k.sign(t, now, k.dns))
	}
	s.put(s.top.ds(), s.root.sign(t, now, s.top.ds()))
	s.put(s.zone.ds(), s.top.sign(t, now, s.zone.ds()))
	s.put(record, s.zone.sign(t, now, record))
	return s
}

func (s *signedTree) put(rr dns.RR, signatures ...*dns.RRSIG) {
	answer := []dns.RR{rr}
	for _, sig := range signatures {
		answer = append(answer, sig)
	}
	s.answers[dns.TypeToString[rr.Header().Rrtype]+" "+rr.Header().Name] = answer
}

func (s *signedTree) zones() *zones {
	z := &zones{}
	for _, rrs := range s.answers {
		z.records = append(z.records, rrs...)
	}
	return z
}

func TestDNSSEC(t *testing.T) {
	const record, zoneDS, zoneKeys = "TXT " + name, "DS example.test.", "DNSKEY example.test."
	for what, c := range map[string]struct {
		spoil  func(t *testing.T, s *signedTree)
		anchor string // "" is the tree's root
		reason string // "" is: proven
	}{
		"proven": {spoil: func(*testing.T, *signedTree) {}},
		"an anchor on the way": {
			spoil: func(_ *testing.T, s *signedTree) { delete(s.answers, "DNSKEY ."); delete(s.answers, "DS test.") }, anchor: "test.",
		},
		"not signed": {
			spoil: func(_ *testing.T, s *signedTree) { s.answers[record] = s.answers[record][:1] }, reason: "is not signed",
		},
		"another text": {
			spoil: func(_ *testing.T, s *signedTree) {
				s.answers[record][0].(*dns.TXT).Txt = []string{key2 + "::/ip4/6.6.6.6/tcp/6"}
			},
			reason: "wrong or out of date",
		},
		"one record more": {
			spoil: func(t *testing.T, s *signedTree) {
				lie, err := dns.NewRR(txt(key2 + "::/ip4/6.6.6.6/tcp/6"))
				if err != nil {
					t.Fatal(err)
				}
				s.answers[record] = append(s.answers[record], lie)
			},
			reason: "wrong or out of date",
		},
		"expired": {
			spoil: func(t *testing.T, s *signedTree) {
				s.put(s.answers[record][0], s.zone.sign(t, time.Now().Add(-48*time.Hour), s.answers[record][0]))
			},
			reason: "wrong or out of date",
		},
		"not yet": {
			spoil: func(t *testing.T, s *signedTree) {
				s.put(s.answers[record][0], s.zone.sign(t, time.Now().Add(48*time.Hour), s.answers[record][0]))
			},
			reason: "wrong or out of date",
		},
		"signed by the parent's parent's child": {
			spoil: func(t *testing.T, s *signedTree) {
				s.put(s.answers[record][0], newZone(t, "elsewhere.").sign(t, time.Now(), s.answers[record][0]))
			},
			reason: "no usable signature",
		},
		"a key that nobody vouches for": {
			spoil: func(t *testing.T, s *signedTree) {
				k := newZone(t, "example.test.")
				s.put(k.dns, k.sign(t, time.Now(), k.dns))
				s.put(s.answers[record][0], k.sign(t, time.Now(), s.answers[record][0]))
			},
			reason: "not those that its parent names",
		},
		"an unsigned zone": {
			spoil: func(_ *testing.T, s *signedTree) { delete(s.answers, zoneDS) }, reason: "no DS records",
		},
		"a zone that vouches for itself": {
			spoil: func(t *testing.T, s *signedTree) { s.put(s.zone.ds(), s.zone.sign(t, time.Now(), s.zone.ds())) }, reason: "no usable signature",
		},
		"another root": {spoil: func(t *testing.T, s *signedTree) { s.root = newZone(t, ".") }, reason: "not those that its parent names"},
		"a wildcard": {
			spoil: func(t *testing.T, s *signedTree) {
				wild := dns.Copy(s.answers[record][0])
				wild.Header().Name = "*.example.test."
				sig := s.zone.sign(t, time.Now(), wild)
				sig.Hdr.Name = name
				s.put(s.answers[record][0], sig)
			},
			reason: "no usable signature",
		},
		"far too many keys": {
			spoil: func(t *testing.T, s *signedTree) {
				for range maxKeys {
					s.answers[zoneKeys] = append(s.answers[zoneKeys], newZone(t, "example.test.").dns)
				}
			},
			reason: "too many keys",
		},
		"far too many signatures": {
			spoil: func(t *testing.T, s *signedTree) {
				good := s.answers[record][1].(*dns.RRSIG)
				bad := dns.Copy(good).(*dns.RRSIG)
				bad.Signature = s.answers[zoneKeys][1].(*dns.RRSIG).Signature
				s.put(s.answers[record][0], append(slices.Repeat([]*dns.RRSIG{bad}, 20), good)...)
			},
			reason: "wrong or out of date",
		},
	} {
		t.Run(what, func(t *testing.T) {
			tree := newTree(t)
			c.spoil(t, tree)
			anchor := tree.root.ds()
			if c.anchor == "test." {
				anchor = tree.top.ds()
			}
			s := one(t, Config{Servers: []Server{serve(t, tree.zones(), nil)}, DNSSEC: true, Anchors: []string{anchor.String()}})
			if c.reason == "" {
				if !slices.Equal(found(s), []string{seed}) {
					t.Errorf("found %q, failed %v", found(s), s.Failed)
				}
				return
			}
			var fault *BogusError
			if len(s.Peers) > 0 || len(s.Failed) != 1 || !errors.As(s.Failed[0], &fault) || !strings.Contains(fault.Reason, c.reason) {
				t.Errorf("found %q, failed %v; want %q", found(s), s.Failed, c.reason)
			}
		})
	}
}

func TestAnchors(t *testing.T) {
	if anchors, err := parseAnchors(nil); err != nil || len(anchors) != 2 {
		t.Errorf("the root's: %v, %v", anchors, err)
	}
	for _, text := range []string{"", "x", ". IN A 1.2.3.4"} {
		if _, err := Lookup(t.Context(), Config{Anchors: []string{text}}); err == nil {
			t.Errorf("%q is taken for an anchor", text)
		}
	}
}

func TestTheSystemShowsNoSignatures(t *testing.T) {
	if s := one(t, Config{DNSSEC: true}); len(s.Failed) != 1 || !errors.Is(s.Failed[0], ErrSystem) {
		t.Errorf("failed %v", s.Failed)
	}
}
