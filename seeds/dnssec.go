package seeds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// rootAnchors are the keys of the root zone that IANA publishes: KSK-2017 and
// KSK-2024.
var rootAnchors = []string{
	". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
	". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
}

// What one name may cost: a signed zone can be made so that checking it takes
// for ever.
const (
	maxZones      = 12 // zones on the way from the anchor
	maxKeys       = 16 // keys of one zone
	maxSignatures = 8  // signatures of one set of records
	maxChecks     = 64 // signatures checked in all
)

// BogusError says that DNSSEC does not prove an answer.
type BogusError struct{ Reason string }

func (e *BogusError) Error() string { return "not proven by DNSSEC: " + e.Reason }

func bogus(format string, args ...any) error { return &BogusError{fmt.Sprintf(format, args...)} }

type anchor = *dns.DS

// parseAnchors reads trust anchors; none are those of the root.
func parseAnchors(texts []string) ([]anchor, error) {
	if len(texts) == 0 {
		texts = rootAnchors
	}
	var anchors []anchor
	for _, text := range texts {
		rr, err := dns.NewRR(text)
		ds, ok := rr.(*dns.DS)
		if err != nil || !ok {
			return nil, errors.New("seeds: a trust anchor is a DS record as in a zone file")
		}
		anchors = append(anchors, ds)
	}
	return anchors, nil
}

// chain proves answers from the trust anchors down. It asks for what it needs
// on the way, and remembers the keys of a zone.
type chain struct {
	ask     func(ctx context.Context, name string, kind uint16) (*dns.Msg, error)
	anchors []anchor
	keys    map[string][]*dns.DNSKEY
	checks  int
}

// secure asks for records of a name and returns them if they are proven. That
// there are none is never proven, and so an error.
func (c *chain) secure(ctx context.Context, name string, kind uint16) ([]dns.RR, error) {
	name = dns.CanonicalName(name)
	answer, err := c.ask(ctx, name, kind)
	if errors.Is(err, ErrNoName) {
		return nil, bogus("%s is said not to exist", name) // by whoever likes: the next server may know better
	}
	if err != nil {
		return nil, err
	}
	set, signatures := split(answer, name, kind)
	if len(set) == 0 {
		return nil, bogus("%s has no %s records of its own", name, dns.TypeToString[kind])
	}
	if err := c.proves(ctx, name, set, signatures); err != nil {
		return nil, err
	}
	return set, nil
}

// split finds the records of a name and the signatures over them.
func split(answer *dns.Msg, name string, kind uint16) (set []dns.RR, signatures []*dns.RRSIG) {
	for _, rr := range answer.Answer {
		if dns.CanonicalName(rr.Header().Name) != name || rr.Header().Class != dns.ClassINET {
			continue
		}
		if s, ok := rr.(*dns.RRSIG); ok && s.TypeCovered == kind {
			signatures = append(signatures, s)
		} else if rr.Header().Rrtype == kind {
			set = append(set, rr)
		}
	}
	return set, signatures
}

// proves checks that a zone on the proven path has signed a set.
func (c *chain) proves(ctx context.Context, name string, set []dns.RR, signatures []*dns.RRSIG) error {
	if len(signatures) == 0 {
		return bogus("%s is not signed", name)
	}
	last := bogus("no usable signature over %s", name)
	for _, s := range signatures[:min(len(signatures), maxSignatures)] {
		zone := dns.CanonicalName(s.SignerName)
		if !dns.IsSubDomain(zone, name) || int(s.Labels) != dns.CountLabel(name) {
			continue // another zone's, or a wildcard, which needs a proof that the name itself is not there
		}
		if set[0].Header().Rrtype == dns.TypeDS && zone == name {
			continue // the parent vouches for a zone, not the zone itself
		}
		keys, err := c.zone(ctx, zone)
		if err != nil {
			last = err
			continue
		}
		if c.signed(set, s, keys) {
			return nil
		}
		last = bogus("a signature over %s is wrong or out of date", name)
	}
	return last
}

// zone returns the proven keys of a zone.
func (c *chain) zone(ctx context.Context, zone string) ([]*dns.DNSKEY, error) {
	if keys, ok := c.keys[zone]; ok {
		return keys, nil
	}
	if len(c.keys) == 0 {
		c.keys = make(map[string][]*dns.DNSKEY)
	}
	if len(c.keys) == maxZones {
		return nil, bogus("too many zones on the way")
	}
	c.keys[zone] = nil // a zone that leads back to itself proves nothing
	trusted, err := c.delegation(ctx, zone)
	if err != nil {
		return nil, err
	}
	answer, err := c.ask(ctx, zone, dns.TypeDNSKEY)
	if errors.Is(err, ErrNoName) {
		return nil, bogus("zone %s is said not to exist", zone)
	}
	if err != nil {
		return nil, err
	}
	set, signatures := split(answer, zone, dns.TypeDNSKEY)
	if len(set) > maxKeys {
		return nil, bogus("zone %s has too many keys", zone)
	}
	var keys, entry []*dns.DNSKEY
	for _, rr := range set {
		key := rr.(*dns.DNSKEY)
		if key.Flags&dns.ZONE == 0 || key.Flags&dns.REVOKE != 0 || key.Protocol != 3 || !strong(key.Algorithm) {
			continue
		}
		keys = append(keys, key)
		if slices.ContainsFunc(trusted, func(ds *dns.DS) bool { return matches(ds, key) }) {
			entry = append(entry, key)
		}
	}
	for _, s := range signatures[:min(len(signatures), maxSignatures)] {
		if dns.CanonicalName(s.SignerName) == zone && c.signed(set, s, entry) {
			c.keys[zone] = keys
			return keys, nil
		}
	}
	return nil, bogus("the keys of zone %s are not those that its parent names", zone)
}

// delegation are the DS records that vouch for a zone: trust anchors, or its
// parent's.
func (c *chain) delegation(ctx context.Context, zone string) ([]*dns.DS, error) {
	var trusted []*dns.DS
	for _, a := range c.anchors {
		if dns.CanonicalName(a.Hdr.Name) == zone {
			trusted = append(trusted, a)
		}
	}
	if len(trusted) > 0 {
		return trusted, nil
	}
	if zone == "." {
		return nil, bogus("no trust anchor is on the way")
	}
	set, err := c.secure(ctx, zone, dns.TypeDS)
	if err != nil {
		return nil, err
	}
	for _, rr := range set {
		trusted = append(trusted, rr.(*dns.DS))
	}
	return trusted, nil
}

// strong says which algorithms count; SHA-1 and older do not.
func strong(algorithm uint8) bool {
	switch algorithm {
	case dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519:
		return true
	}
	return false
}

func matches(ds *dns.DS, key *dns.DNSKEY) bool {
	if ds.KeyTag != key.KeyTag() || ds.Algorithm != key.Algorithm || ds.DigestType != dns.SHA256 && ds.DigestType != dns.SHA384 {
		return false
	}
	own := key.ToDS(ds.DigestType)
	return own != nil && strings.EqualFold(own.Digest, ds.Digest)
}

// signed says whether one of the keys made a signature that holds now.
func (c *chain) signed(set []dns.RR, s *dns.RRSIG, keys []*dns.DNSKEY) bool {
	if !s.ValidityPeriod(time.Now()) {
		return false
	}
	for _, key := range keys {
		if key.KeyTag() != s.KeyTag || key.Algorithm != s.Algorithm {
			continue
		}
		if c.checks++; c.checks > maxChecks {
			return false
		}
		if s.Verify(key, set) == nil {
			return true
		}
	}
	return false
}
