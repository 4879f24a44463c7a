package peerbook

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// full is a record with something in every field.
func full(t testing.TB) *Record {
	t.Helper()
	c := claim(t, 1, 1_700_000_000, 1, 2, 3)
	return &Record{
		Key: key(1),
		Addresses: []Address{
			{Addr: addr(1), Source: Claimed, LastSeen: at(1_700_000_000_123), Attempts: 3, Took: 250 * time.Millisecond},
			{Addr: ma.StringCast("/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:18141"), Source: Configured},
			{Addr: addr(2), LastFail: at(5), Failure: "refused", Attempts: math.MaxUint32, Failures: 9},
		},
		Features: c.Features, Protocols: c.Protocols, UserAgent: c.UserAgent, Claim: c, Network: "esmeralda", Seed: true,
		Ban:     Ban{Until: maxStamp.time(), Reason: "żółw \"quoted\"", Generation: math.MaxUint64},
		AddedAt: at(1), LastSeen: at(2), Removed: at(3),
	}
}

func TestRecordRoundTrip(t *testing.T) {
	seen := full(t)
	seen.Protocols, seen.UserAgent = []protocol.ID{"\xff\x00 any bytes"}, "\xfe agent"
	seen.Claim.Protocols, seen.Claim.UserAgent = seen.Protocols, seen.UserAgent
	for _, r := range []*Record{full(t), seen, {Key: key(2)}, {Key: key(3), Ban: Ban{Generation: 1}}} {
		data, err := encodeRecord(r)
		must(t, err)
		got, err := decodeRecord(r.Key, data)
		must(t, err)
		if !reflect.DeepEqual(got, r) {
			t.Errorf("got  %+v\nwant %+v", got, r)
		}
		if r.Claim != nil {
			if err := got.Claim.VerifySignature(time.Unix(1_700_000_000, 0)); err != nil {
				t.Errorf("the claim's signature: %v", err)
			}
		}
	}
}

// The layout is what it is: a book written today must open tomorrow.
func TestRecordLayout(t *testing.T) {
	stored := sealed(recordVersion, []byte(`{"key":"`+key(1).String()+`","addresses":[{"addr":"BFABAAIGRw0=","source":2,"last_seen":1700000000123,`+
		`"last_fail":5,"failure":"no","attempts":3,"failures":1,"took_ms":250}],"features":3,"protocols":["dC9tc2cvMC4x"],"user_agent":"dGVzdC8x",`+
		`"network":"igor","seed":true,"banned_until":1800000000000,"ban_reason":"spam","ban_generation":7,"added_at":1,"last_seen":2,"removed":3,`+
		`"something_new":{}}`))
	want := &Record{
		Key: key(1), Features: identityproto.FeatureNode, Protocols: []protocol.ID{"t/msg/0.1"}, UserAgent: "test/1", Network: "igor", Seed: true,
		Addresses: []Address{{
			Addr: addr(1), Source: Configured, LastSeen: at(1_700_000_000_123), LastFail: at(5), Failure: "no", Attempts: 3,
			Failures: 1, Took: 250 * time.Millisecond,
		}},
		Ban:     Ban{Until: at(1_800_000_000_000), Reason: "spam", Generation: 7},
		AddedAt: at(1), LastSeen: at(2), Removed: at(3),
	}
	got, err := decodeRecord(key(1), stored)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

// sealed puts the header before a body.
func sealed(version byte, body []byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte{version}, crc32.Checksum(body, castagnoli))
	return append(out, body...)
}

func TestDamagedRecords(t *testing.T) {
	data, err := encodeRecord(full(t))
	must(t, err)
	refused := func(name string, n int, damaged []byte) {
		t.Helper()
		if r, err := decodeRecord(key(n), damaged); !errors.Is(err, errRecord) || r != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	for n := range data {
		refused("cut", 1, data[:n])
		flipped := bytes.Clone(data)
		flipped[n] ^= 1 << (n % 8)
		refused("flipped", 1, flipped)
	}
	refused("another peer's", 2, data)
	refused("of another version", 1, sealed(recordVersion+1, data[recordHeader:]))
	refused("too large", 1, sealed(recordVersion, append(bytes.Repeat([]byte(" "), maxRecord), data[recordHeader:]...)))
	self := `{"key":"` + key(1).String() + `"`
	for name, body := range map[string]string{
		"empty":                  ``,
		"null":                   `null`,
		"no key":                 `{}`,
		"not an object":          `[]`,
		"bad address":            self + `,"addresses":[{"addr":"AAAA"}]}`,
		"no address":             self + `,"addresses":[{}]}`,
		"unknown source":         self + `,"addresses":[{"addr":"BFABAAIGRw0=","source":3}]}`,
		"eleven addresses":       self + `,"addresses":[` + strings.Repeat(`{"addr":"BFABAAIGRw0="},`, 10) + `{"addr":"BFABAAIGRw0="}]}`,
		"claim without nonce":    self + `,"claim":{"s":"` + strings.Repeat("A", 43) + `="}}`,
		"claim with a bad nonce": self + `,"claim":{"nonce":"` + strings.Repeat("f", 64) + `","s":"` + strings.Repeat("A", 43) + `="}}`,
		"claim with a short s":   self + `,"claim":{"nonce":"` + key(2).String() + `","s":"AAAA"}}`,
		"claim before 1970":      self + `,"claim":{"nonce":"` + key(2).String() + `","s":"` + strings.Repeat("A", 43) + `=","updated_at":-1}}`,
		"claim after 9999":       self + `,"claim":{"nonce":"` + key(2).String() + `","s":"` + strings.Repeat("A", 43) + `=","updated_at":253402300800}}`,
		"feature overflow":       self + `,"features":4294967296}`,
		"many protocols":         self + `,"protocols":[` + strings.Repeat(`"",`, maxProtocols) + `""]}`,
	} {
		refused(name, 1, sealed(recordVersion, []byte(body)))
	}
}

// What would be set aside is not written; and what is not written would be.
func TestRecordsBeyondLimits(t *testing.T) {
	spoil := func(how func(*Record)) *Record {
		r := full(t)
		how(r)
		return r
	}
	for name, r := range map[string]*Record{
		"no key":              spoil(func(r *Record) { r.Key = tarikey.PublicKey{} }),
		"eleven addresses":    spoil(func(r *Record) { r.Addresses = slices.Repeat(r.Addresses[:1], MaxAddresses+1) }),
		"an empty address":    spoil(func(r *Record) { r.Addresses[1].Addr = nil }),
		"unknown source":      spoil(func(r *Record) { r.Addresses[0].Source = Configured + 1 }),
		"many protocols":      spoil(func(r *Record) { r.Protocols = make([]protocol.ID, maxProtocols+1) }),
		"unknown ban source":  spoil(func(r *Record) { r.Ban.Source = ByOperator + 1 }),
		"claim without nonce": spoil(func(r *Record) { r.Claim.Signature.Nonce = tarikey.PublicKey{} }),
		"claim before 1970":   spoil(func(r *Record) { r.Claim.Signature.UpdatedAt = time.Unix(-1, 0) }),
		"claim after 9999":    spoil(func(r *Record) { r.Claim.Signature.UpdatedAt = time.Unix(253402300800, 0) }),
		"claimed too many":    spoil(func(r *Record) { r.Claim.Addresses = slices.Repeat(r.Claim.Addresses[:1], maxClaimAddrs+1) }),
		"claimed nothing":     spoil(func(r *Record) { r.Claim.Addresses[2] = nil }),
		"too large":           spoil(func(r *Record) { r.UserAgent = strings.Repeat("x", maxRecord) }),
	} {
		if _, err := encodeRecord(r); err == nil {
			t.Errorf("%s: written", name)
		}
		if data, err := marshalRecord(r); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if _, err := decodeRecord(r.Key, data); err == nil {
			t.Errorf("%s: would not be set aside", name)
		}
	}
}

func TestStamps(t *testing.T) {
	for _, c := range []struct{ in, want time.Time }{
		{time.Time{}, time.Time{}},
		{time.UnixMilli(1), at(1)},
		{time.Unix(0, 1_999_999), at(1)},
		{time.UnixMilli(-5), at(1)}, // before 1970, but not never
		{time.Unix(1<<40, 0), maxStamp.time()},
	} {
		if got := rounded(c.in); !got.Equal(c.want) || got.IsZero() != c.want.IsZero() {
			t.Errorf("%v is kept as %v, want %v", c.in, got, c.want)
		}
	}
	if got := maxStamp.time().Format(time.DateTime); got != "9999-12-31 23:59:59" {
		t.Errorf("the end of time is %s", got)
	}
}

// FuzzRecord takes the checksum away, so that the fuzzer gets past it. What
// decodes must encode, and decode to the same again.
func FuzzRecord(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		if r, err := decodeRecord(key(1), body); err == nil && r.Key != key(1) {
			t.Fatal("another peer's record")
		}
		if len(body) > maxRecord-recordHeader {
			return
		}
		r, err := decodeBody(key(1), body)
		if err != nil {
			if !errors.Is(err, errRecord) || r != nil {
				t.Fatalf("%+v, %v", r, err)
			}
			return
		}
		data, err := encodeRecord(r)
		if grown, _ := marshalRecord(r); err != nil && len(grown) > maxRecord {
			return // JSON can grow over the limit
		}
		must(t, err)
		again, err := decodeRecord(key(1), data)
		must(t, err)
		data2, err := encodeRecord(again)
		must(t, err)
		if !bytes.Equal(data, data2) {
			t.Fatalf("first  %s\nsecond %s", data, data2)
		}
	})
}
