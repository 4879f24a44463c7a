package wiremode

import (
	"net/netip"
	"testing"
)

func TestGateAllowList(t *testing.T) {
	for _, c := range []struct {
		allow, from string
		want        bool
	}{
		{"127.0.0.1/32", "127.0.0.1:1", true},
		{"127.0.0.1/32", "[::ffff:127.0.0.1]:1", true},
		{"127.0.0.1/32", "127.0.0.2:1", false},
		{"10.0.0.0/8", "10.9.8.7:1", true},
		{"0.0.0.0/0", "203.0.113.7:1", true},
		{"0.0.0.0/0", "[2001:db8::1]:1", false},
		{"::/0", "[2001:db8::1]:1", true},
		{"::/0", "203.0.113.7:1", true},
		{"::ffff:10.0.0.0/104", "10.1.2.3:1", true},
		{"::ffff:10.0.0.0/104", "11.1.2.3:1", false},
		{"2001:db8::/32", "[2001:db8::1]:1", true},
		{"2001:db8::/32", "[2001:db9::1]:1", false},
		{"2001:db8::/32", "32.1.13.184:1", false},
		{"fe80::/10", "[fe80::1%eth0]:1", true},
		{"0.0.0.0/0", "/memory/1", false},
	} {
		g := &Gate{Allow: []netip.Prefix{netip.MustParsePrefix(c.allow)}, MaxSessions: 1}
		if _, ok := g.Admit(addr(c.from), "hello"); ok != c.want {
			t.Errorf("%s admits %s: %v, want %v", c.allow, c.from, ok, c.want)
		}
	}
	if _, ok := localGate(1).Admit(nil, "hello"); ok {
		t.Error("admitted a connection without an address")
	}
}

func TestGateCountsSessions(t *testing.T) {
	g := localGate(2)
	var releases []func()
	for range 2 {
		release, ok := g.Admit(addr(home), "hello")
		if !ok {
			t.Fatal("refused below the limit")
		}
		releases = append(releases, release)
	}
	if _, ok := g.Admit(addr(home), "hello"); ok {
		t.Error("admitted a third session")
	}
	releases[0]()
	releases[0]() // counts once
	if _, ok := g.Admit(addr(home), "hello"); !ok {
		t.Error("refused after a release")
	}
	if _, ok := g.Admit(addr(home), "hello"); ok {
		t.Error("a release counted twice")
	}
}

func TestGateHoldsEightTokens(t *testing.T) {
	g := &Gate{}
	oldest := g.NewToken()
	for range maxTokens - 1 {
		g.NewToken()
	}
	if !g.Outstanding(oldest) {
		t.Errorf("the oldest of %d tokens is forgotten", maxTokens)
	}
	if g.NewToken(); g.Outstanding(oldest) {
		t.Errorf("the oldest of %d tokens is not forgotten", maxTokens+1)
	}
}

func TestGateTokens(t *testing.T) {
	g := &Gate{} // nobody but ourselves
	token := g.NewToken()
	if len(token) != 48 || token == g.NewToken() {
		t.Errorf("token %q", token)
	}
	release, ok := g.Admit(addr(abroad), token)
	if !ok {
		t.Fatal("refused our own token")
	}
	if _, ok := g.Admit(addr(abroad), token); ok {
		t.Error("a token worked twice")
	}
	if _, ok := g.Admit(addr(abroad), g.NewToken()); !ok {
		t.Error("refused the next check while the last session had not ended")
	}
	release()
	dropped := g.NewToken()
	g.DropToken(dropped)
	if _, ok := g.Admit(addr(abroad), dropped); ok {
		t.Error("a dropped token worked")
	}
	oldest := g.NewToken()
	for range maxTokens {
		g.NewToken()
	}
	if _, ok := g.Admit(addr(abroad), oldest); ok {
		t.Error("more tokens outstanding than the limit")
	}
	if _, ok := g.Admit(addr(abroad), ""); ok {
		t.Error("an empty line counted as a token")
	}
}
