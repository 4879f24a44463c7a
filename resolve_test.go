package tari

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	ma "github.com/multiformats/go-multiaddr"
)

func TestResolve(t *testing.T) {
	names := map[string][]string{
		"public.example":  {"1.2.3.4", "2a01:4f8::1", "::ffff:5.6.7.8"},
		"private.example": {"10.0.0.1", "127.0.0.1", "::1", "64:ff9b::a00:1", "64:ff9b:1::1"},
		"mixed.example":   {"192.168.0.1", "9.9.9.9", "64:ff9b::909:909"},
		"localhost":       {"127.0.0.1"},
		"empty.example":   {},
	}
	missing := errors.New("no such host")
	look := func(_ context.Context, family, host string) (out []netip.Addr, err error) {
		ips, ok := names[host]
		if !ok {
			return nil, missing
		}
		for _, text := range ips {
			ip := netip.MustParseAddr(text)
			if family == "ip" || ip.Unmap().Is4() == (family == "ip4") {
				out = append(out, ip)
			}
		}
		return out, nil
	}
	for _, c := range []struct {
		addr  string
		test  bool
		limit int
		want  []string
	}{
		{"/dns/public.example/tcp/1", false, 9, []string{"/ip4/1.2.3.4/tcp/1", "/ip6/2a01:4f8::1/tcp/1", "/ip4/5.6.7.8/tcp/1"}},
		{"/dns4/public.example/tcp/1", false, 9, []string{"/ip4/1.2.3.4/tcp/1", "/ip4/5.6.7.8/tcp/1"}},
		{"/dns6/public.example/tcp/1", false, 9, []string{"/ip6/2a01:4f8::1/tcp/1"}},
		{"/dns/public.example/tcp/1", false, 1, []string{"/ip4/1.2.3.4/tcp/1"}},
		{"/dns/private.example/tcp/1", false, 9, nil},
		{"/dns4/private.example/tcp/1", true, 9, []string{"/ip4/10.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1"}},
		{"/dns/mixed.example/tcp/1", false, 9, []string{"/ip4/9.9.9.9/tcp/1", "/ip6/64:ff9b::909:909/tcp/1"}},
		{"/dns4/localhost/tcp/1", false, 9, []string{"/ip4/127.0.0.1/tcp/1"}},
		{"/dns4/empty.example/tcp/1", false, 9, nil},
		{"/ip4/1.2.3.4/tcp/1", false, 9, []string{"/ip4/1.2.3.4/tcp/1"}},
		{"/dns4/missing.example/tcp/1", false, 9, nil},
	} {
		r := newResolver(c.test)
		r.lookup = look
		got, err := r.ResolveDNSComponent(t.Context(), ma.StringCast(c.addr), c.limit)
		if wantErr := c.addr == "/dns/private.example/tcp/1" || c.addr == "/dns4/missing.example/tcp/1"; (err != nil) != wantErr {
			t.Errorf("%s: %v", c.addr, err)
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", c.addr, got, c.want)
			continue
		}
		for i := range got {
			if got[i].String() != c.want[i] {
				t.Errorf("%s: %v, want %v", c.addr, got, c.want)
			}
		}
		if len(r.places) != 0 {
			t.Errorf("%s: a place is still taken", c.addr)
		}
	}
}

// TestResolveDNSAddr: a dnsaddr is a plain host name, and nothing is looked up for it yet.
func TestResolveDNSAddr(t *testing.T) {
	r := newResolver(false)
	r.lookup = func(context.Context, string, string) ([]netip.Addr, error) { t.Error("looked up"); return nil, nil }
	for in, want := range map[string]string{
		"/dnsaddr/seed.example/tcp/1": "/dns/seed.example/tcp/1",
		"/ip4/1.2.3.4/tcp/1":          "/ip4/1.2.3.4/tcp/1",
	} {
		got, err := r.ResolveDNSAddr(t.Context(), "", ma.StringCast(in), 1, 1)
		if err != nil || len(got) != 1 || got[0].String() != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
}

// TestResolveNothing: where no transport could dial the answer, nobody is asked.
func TestResolveNothing(t *testing.T) {
	r := newResolver(false)
	r.lookup = func(context.Context, string, string) ([]netip.Addr, error) { t.Error("looked up"); return nil, nil }
	r.canDial = func(a ma.Multiaddr) bool { return a[0].Protocol().Code == ma.P_ONION3 }
	if got, err := r.ResolveDNSComponent(t.Context(), ma.StringCast("/dns4/seed.example/tcp/1"), 9); err == nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestResolveCrowd: sixteen lookups that hang leave the seventeenth waiting, for no longer than one may take.
func TestResolveCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResolver(false)
		r.lookup = func(ctx context.Context, _, _ string) ([]netip.Addr, error) { <-ctx.Done(); return nil, ctx.Err() }
		results := make(chan error)
		for range lookupsAtOnce + 1 {
			go func() {
				_, err := r.ResolveDNSComponent(t.Context(), ma.StringCast("/dns4/slow.example/tcp/1"), 1)
				results <- err
			}()
		}
		for range lookupsAtOnce + 1 {
			if err := <-results; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
	})
}
