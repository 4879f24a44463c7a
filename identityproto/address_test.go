package identityproto

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func TestUsable(t *testing.T) {
	for text, want := range map[string]struct{ shape, external, usable bool }{
		"/ip4/1.2.3.4/tcp/1":           {true, true, true},
		"/ip4/1.2.3.4/tcp/1/tcp/1":     {false, true, false},
		"/ip4/10.1.2.3/tcp/1":          {true, false, false},
		"/ip4/100.64.0.1/tcp/1":        {true, false, false},
		"/ip4/172.32.0.1/tcp/1":        {true, true, true},
		"/ip4/198.19.255.255/tcp/1":    {true, false, false},
		"/ip4/224.0.0.1/tcp/1":         {true, false, false},
		"/ip4/255.255.255.255/tcp/1":   {true, false, false},
		"/ip6/2a01:4f8::1/tcp/1":       {true, true, true},
		"/ip6/::1/tcp/1":               {true, false, false},
		"/ip6/fe80::1/tcp/1":           {true, false, false},
		"/ip6/fd00::1/tcp/1":           {true, false, false},
		"/ip6/::ffff:10.0.0.1/tcp/1":   {true, false, false},
		"/ip6/::10.0.0.1/tcp/1":        {true, false, false},
		"/ip6/2002::1/tcp/1":           {true, false, false},
		"/dns4/seed.example.com/tcp/1": {true, true, true},
		"/dns4/localhost/tcp/1":        {true, false, false},
		"/dns4/a.LOCAL./tcp/1":         {true, false, false},
		"/dns6/printer.lan/tcp/1":      {true, false, false},
		"/dnsaddr/box.home.arpa/tcp/1": {true, false, false},
		"/dns4/127.0.0.1/tcp/1":        {true, false, false},
		"/dns4/1.2.3.4/tcp/1":          {true, true, false}, // no host name
		"/dns4/a.0x7f/tcp/1":           {true, true, false},
		"/dns4/a..b/tcp/1":             {true, true, false},
		"/dns4/-a.b/tcp/1":             {true, true, false},
		"/dns4/a_b.c/tcp/1":            {true, true, false},
		"/dns/seed.example.com/tcp/1":  {false, true, false},
		onionText:                      {true, true, true},
		"/memory/1":                    {true, false, false},
		"/ip4/1.2.3.4/udp/1/quic-v1":   {false, true, false},
	} {
		a := ma.StringCast(text)
		got := struct{ shape, external, usable bool }{CheckShape(a) == nil, IsExternal(a), Usable(a, false)}
		if got != want {
			t.Errorf("%s: shape, external, usable %v, want %v", text, got, want)
		}
	}
	if !Usable(ma.StringCast("/memory/1"), true) || !Usable(ma.StringCast("/ip4/127.0.0.1/tcp/1"), true) {
		t.Error("test addresses are not usable where they are allowed")
	}
	if CheckShape(nil) == nil || IsExternal(nil) {
		t.Error("an empty address passes")
	}
	if !ExternalIP(netip.MustParseAddr("::ffff:1.2.3.4")) || ExternalIP(netip.MustParseAddr("fe80::1%eth0")) {
		t.Error("mapped or zoned addresses are judged wrongly")
	}
}

func TestHostName(t *testing.T) {
	label := strings.Repeat("x", 63)
	name := strings.Join([]string{label, label, label, label[:61]}, ".")
	for text, want := range map[string]bool{
		"a-0.Z-9.z": true, "09az.AZ": true, label: true, name: true, name + ".": true,
		"": false, ".": false, label + "x": false, name + "x": false, "-a": false, "a-": false, "a..b": false,
		"a/b": false, "a:b": false, "a@b": false, "a[b": false, "a`b": false, "a{b": false,
		"1": false, "a.9": false, "a.0x0f": false, "a.0x0g": true,
	} {
		if got := hostName(text); got != want {
			t.Errorf("%q (%d bytes) is a host name: %v, want %v", text, len(text), got, want)
		}
	}
}

// A name may hold no slash: as text it would be another address.
func TestSlashInName(t *testing.T) {
	for _, name := range []string{"/a", "a/", "a/b", "/"} {
		raw := append(append([]byte{ma.P_DNS4, byte(len(name))}, name...), ma.P_TCP, 0, 1)
		parts, ok := components(raw)
		if !ok {
			t.Fatalf("%x has no components", raw)
		}
		if err := checkShape(parts); kindOf(err) != KindShape {
			t.Errorf("the name %q: %v", name, err)
		}
	}
}

// TestHashes: the digests that tari_comms' crate takes in an address.
func TestHashes(t *testing.T) {
	for _, c := range []struct {
		protocol    int
		hash        uint64
		size, bytes int
		want        bool
	}{
		{ma.P_CERTHASH, 0x12, 64, 64, true},
		{ma.P_CERTHASH, 0x12, 65, 65, false},
		{ma.P_CERTHASH, 0x12, 32, 31, false},
		{ma.P_P2P, 0x12, 32, 32, true},
		{ma.P_P2P, 0x13, 32, 32, false},
		{ma.P_P2P, 0, 42, 42, true},
		{ma.P_P2P, 0, 43, 43, false},
	} {
		value := append([]byte{byte(c.hash), byte(c.size)}, make([]byte, c.bytes)...)
		raw := append(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(c.protocol)), uint64(len(value))), value...)
		if _, ok := components(raw); ok != c.want {
			t.Errorf("protocol %d, hash %#x of %d bytes, %d there: %v, want %v", c.protocol, c.hash, c.size, c.bytes, ok, c.want)
		}
	}
}

func TestShapeErrorsNameTheKind(t *testing.T) {
	if err := CheckShape(ma.StringCast("/udp/1")); err == nil || !strings.Contains(err.Error(), "udp") {
		t.Errorf("an address that begins with udp: %v", err)
	}
}

func TestQuote(t *testing.T) {
	whole := strings.Repeat("x", 40)
	for s, want := range map[string]string{whole: `"` + whole + `"`, whole + "x": `"` + whole + `"…`, "\x1b": `"\x1b"`} {
		if got := quote(s); got != want {
			t.Errorf("quote(%q) = %s, want %s", s, got, want)
		}
	}
}

func TestFeatures(t *testing.T) {
	for f, text := range map[Features]string{FeatureNode: "MESSAGE_PROPAGATION | DHT_STORE_FORWARD", FeatureClient: "", FeatureStore: "DHT_STORE_FORWARD"} {
		if f.String() != text {
			t.Errorf("%d is %q", f, f)
		}
		if got, err := ParseFeatures(text); err != nil || got != f {
			t.Errorf("%q is %d, %v", text, got, err)
		}
	}
	if _, err := ParseFeatures("SOMETHING"); err == nil {
		t.Error("took an unknown feature")
	}
	if s := Features(4).String(); s != "0x4" {
		t.Errorf("an unknown bit prints as %q", s)
	}
}
