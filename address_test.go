package tari

import (
	"strings"
	"testing"
)

const testKey = "c4f9de2fa17e3bab9e5c8057e89ec34585b9a78d3106880be5f7e4a4a3cd7c1a"

func TestParseAddress(t *testing.T) {
	for text, want := range map[string][]string{
		"":                         nil,
		"::/ip4/1.2.3.4/tcp/18189": {"/ip4/1.2.3.4/tcp/18189"},
		"::/ip4/1.2.3.4/tcp/1::/ip4/5.6.7.8/tcp/2":                                {"/ip4/1.2.3.4/tcp/1", "/ip4/5.6.7.8/tcp/2"},
		"::/ip6/2001:db8::1/tcp/1":                                                {"/ip6/2001:db8::1/tcp/1"},
		"::/ip6/2001:db8::/tcp/1":                                                 {"/ip6/2001:db8::/tcp/1"},
		"::/ip6/::/tcp/1::/memory/1":                                              {"/ip6/::/tcp/1", "/memory/1"},
		"::/ip6/::1/tcp/1::/ip6/fe80::/tcp/2::/dns4/example.com/tcp/3":            {"/ip6/::1/tcp/1", "/ip6/fe80::/tcp/2", "/dns4/example.com/tcp/3"},
		"::/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234": {"/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234"},
	} {
		a, err := ParseAddress(" " + testKey + text + "\n")
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var got []string
		for _, addr := range a.Addrs {
			got = append(got, addr.String())
		}
		if strings.Join(got, " ") != strings.Join(want, " ") || a.Key.String() != testKey {
			t.Errorf("%q: %v", text, got)
		}
		if a.String() != testKey+text {
			t.Errorf("%q is written as %q", text, a)
		}
		if info := a.AddrInfo(); info.ID != a.Key.PeerID() || len(info.Addrs) != len(want) {
			t.Errorf("%q: AddrInfo %v", text, info)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for _, text := range []string{
		"", "::", testKey + "::", testKey + ":", testKey[1:], testKey + "0",
		testKey + "::/ip4/1.2.3.4/tcp/1::", testKey + "::/ip4/1.2.3.4/tcp/1::/nonsense/1", testKey + "::ip4/1.2.3.4/tcp/1",
		testKey + strings.Repeat("::/ip4/1.2.3.4/tcp/1", 11), testKey + "::/ip6/2001:db8", strings.Repeat("0", 64) + "::/memory/1",
		"::/memory/1", testKey + "::/dns4/" + strings.Repeat("x", 5000) + "/tcp/1",
	} {
		if a, err := ParseAddress(text); err == nil {
			t.Errorf("%q is read as %v", text, a)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add(testKey + "::/ip4/1.2.3.4/tcp/18189")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			return
		}
		if len(a.Addrs) > maxAddressParts || a.Key.IsZero() {
			t.Fatalf("%q is read as %v", text, a)
		}
		again, err := ParseAddress(a.String())
		if err != nil || again.String() != a.String() {
			t.Fatalf("%q is written as %q, which reads as %q, %v", text, a, again, err)
		}
	})
}
