package seeds

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	name = "seeds.example.test."
	key1 = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"
	key2 = "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919"
	seed = key1 + "::/ip4/1.2.3.4/tcp/18189::/ip6/2600::1/tcp/18189"
)

func quoted(text string) string {
	var parts []string
	for len(text) > 200 {
		parts, text = append(parts, `"`+text[:200]+`"`), text[200:]
	}
	return strings.Join(append(parts, `"`+text+`"`), " ")
}

func txt(text string) string { return name + " 60 IN TXT " + quoted(text) }

// one looks up the one name.
func one(t *testing.T, cfg Config) Source {
	t.Helper()
	cfg.Names = []string{name}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	report, err := Lookup(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return report.Sources[0]
}

func found(s Source) []string {
	var out []string
	for _, p := range s.Peers {
		out = append(out, p.String())
	}
	return out
}

func TestRecords(t *testing.T) {
	long := key1 + strings.Repeat("::/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:18141", 5)
	z := &zones{}
	z.add(t, txt(seed), txt(long), txt(""), txt("no peer"), txt(key2), txt(key2+"::/dns4/a.example/tcp/1"), name+` 60 IN A 1.2.3.4`)
	s := one(t, Config{Servers: []Server{serve(t, z, nil)}})
	if want := []string{seed, long, key2 + "::/dns4/a.example/tcp/1"}; !slices.Equal(found(s), want) {
		t.Errorf("found %q, want %q; failed %v", found(s), want, s.Failed)
	}
	if len(s.Bad) != 2 || s.Bad[0].Number != 4 || s.Bad[1].Number != 5 {
		t.Errorf("bad records %v", s.Bad)
	}
	all := (&Report{Sources: []Source{s, s}}).Peers()
	if len(all) != 2 || len(all[0].Addrs) != 14 {
		t.Errorf("%d peers together: %v", len(all), all)
	}
}

func TestALongAnswerComesByTCP(t *testing.T) {
	z := &zones{}
	for i := range MaxRecords + 10 {
		z.add(t, txt(fmt.Sprintf("%s::/ip4/1.2.3.4/tcp/%d", key1[:64], i+1)))
	}
	z.records = z.records[:400] // what fits into 64 KiB
	s := one(t, Config{Servers: []Server{serve(t, z, nil)}})
	if len(s.Peers) != 400 || len(s.Bad) > 0 {
		t.Errorf("%d peers, bad %v, failed %v", len(s.Peers), s.Bad, s.Failed)
	}
	if want := []string{"udp TXT " + name, "tcp TXT " + name}; !slices.Equal(z.questions(), want) {
		t.Errorf("asked %q", z.questions())
	}
}

func TestTooManyRecords(t *testing.T) {
	s := Source{}
	s.take(slices.Repeat([]string{seed, "nobody"}, 5000), false)
	if len(s.Peers)+len(s.Bad) != MaxRecords || s.Dropped != 10_000-MaxRecords {
		t.Errorf("%d peers, %d bad, %d dropped", len(s.Peers), len(s.Bad), s.Dropped)
	}
}

// The next server is asked if one is silent, refuses, fails, or answers another question.
func TestFailover(t *testing.T) {
	t.Parallel()
	good := &zones{}
	good.add(t, txt(seed))
	broken := serve(t, &zones{code: dns.RcodeServerFailure}, nil)
	other := serve(t, &zones{edit: func(w dns.ResponseWriter, m *dns.Msg) {
		m.Question[0].Name = "other.test."
		_ = w.WriteMsg(m)
	}}, nil)
	rubbish := serve(t, &zones{edit: func(w dns.ResponseWriter, m *dns.Msg) {
		m.Truncated = true // come by TCP
		if w.RemoteAddr().Network() == "udp" {
			_ = w.WriteMsg(m)
		} else {
			_, _ = w.Write([]byte("no DNS at all"))
		}
	}}, nil)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := Server{Addr: closed.Addr().(*net.TCPAddr).AddrPort()}
	_ = closed.Close()
	silent := mute(t)

	s := one(t, Config{Servers: []Server{silent, broken, other, rubbish, gone, serve(t, good, nil)}, Timeout: 5 * time.Second})
	if !slices.Equal(found(s), []string{seed}) || len(s.Failed) != 5 {
		t.Fatalf("found %q, failed %v", found(s), s.Failed)
	}
	var code *CodeError
	switch f := s.Failed; {
	case !errors.Is(f[0], context.DeadlineExceeded) || f[0].Server != silent:
		t.Errorf("the silent one: %v", f[0])
	case !errors.As(f[1], &code) || code.Code != dns.RcodeServerFailure || !strings.Contains(f[1].Error(), "SERVFAIL"):
		t.Errorf("the broken one: %v", f[1])
	case !errors.Is(f[2], ErrMismatch):
		t.Errorf("the one that answers another question: %v", f[2])
	}
}

func TestNoSuchName(t *testing.T) {
	z := &zones{}
	second := &zones{}
	second.add(t, txt(seed))
	s := one(t, Config{Servers: []Server{serve(t, z, nil), serve(t, second, nil)}})
	if len(s.Failed) != 1 || !errors.Is(s.Failed[0], ErrNoName) || len(s.Peers) > 0 || len(second.questions()) > 0 {
		t.Errorf("%v; the second was asked %q", s, second.questions())
	}
}

// Whoever spoofs a packet does not know the question's id: the true answer counts.
func TestSpoofedPackets(t *testing.T) {
	z := &zones{edit: func(w dns.ResponseWriter, m *dns.Msg) {
		lie := m.Copy()
		lie.Id++
		lie.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{key2 + "::/ip4/6.6.6.6/tcp/6"}}}
		_ = w.WriteMsg(lie)
		_, _ = w.Write([]byte("rubbish"))
		_ = w.WriteMsg(m)
	}}
	z.add(t, txt(seed))
	if s := one(t, Config{Servers: []Server{serve(t, z, nil)}}); !slices.Equal(found(s), []string{seed}) {
		t.Errorf("found %q, failed %v", found(s), s.Failed)
	}
}

func TestOverTLS(t *testing.T) {
	ca := newAuthority(t)
	later := time.Now().Add(time.Hour)
	var wrongName x509.HostnameError
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	for _, c := range []struct {
		what  string
		name  string
		until time.Time
		roots *x509.CertPool
		want  any
	}{
		{"good", "dns.example", later, ca.pool, nil},
		{"another's certificate", "other.example", later, ca.pool, &wrongName},
		{"expired", "dns.example", time.Now().Add(-time.Hour), ca.pool, &invalid},
		{"of an unknown authority", "dns.example", later, newAuthority(t).pool, &unknown},
	} {
		t.Run(c.what, func(t *testing.T) {
			z := &zones{}
			z.add(t, txt(seed))
			s := one(t, Config{Servers: []Server{serve(t, z, ca.certificate(t, c.name, c.until))}, Roots: c.roots})
			if c.want == nil {
				if !slices.Equal(found(s), []string{seed}) || !strings.HasSuffix(s.Server, "/dns.example") {
					t.Errorf("found %q from %q, failed %v", found(s), s.Server, s.Failed)
				}
				return
			}
			if len(s.Failed) != 1 || !errors.As(s.Failed[0], c.want) || len(z.questions()) > 0 {
				t.Errorf("failed %v, asked %q", s.Failed, z.questions())
			}
		})
	}
}

// Through a proxy nothing goes by UDP, and the system's resolver is not asked.
func TestThroughAProxy(t *testing.T) {
	z := &zones{}
	z.add(t, txt(seed))
	at := serve(t, z, nil)
	var dialed []string
	s := one(t, Config{Servers: []Server{{}, at}, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed = append(dialed, network+" "+address)
		if network != "tcp" {
			return nil, errors.New("only TCP goes through here")
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}})
	if !slices.Equal(found(s), []string{seed}) || len(s.Failed) != 1 || !errors.Is(s.Failed[0], ErrSystem) {
		t.Errorf("found %q, failed %v", found(s), s.Failed)
	}
	if want := []string{"udp " + at.String(), "tcp " + at.String()}; !slices.Equal(dialed, want) {
		t.Errorf("dialed %q", dialed)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	at := serve(t, &zones{edit: func(dns.ResponseWriter, *dns.Msg) { cancel() }}, nil)
	report, err := Lookup(ctx, Config{Names: []string{name, name}, Servers: []Server{at, at}, Timeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range report.Sources {
		if len(s.Failed) != 1 || !errors.Is(s.Failed[0], context.Canceled) {
			t.Errorf("failed %v", s.Failed)
		}
	}
}

func TestParseServer(t *testing.T) {
	for text, want := range map[string]string{
		"system": "system", "1.1.1.1": "1.1.1.1:53", "1.1.1.1:5353": "1.1.1.1:5353", "::1": "[::1]:53", "[2606:4700::1111]:53": "[2606:4700::1111]:53",
		"1.1.1.1:853/cloudflare-dns.com": "1.1.1.1:853/cloudflare-dns.com", "9.9.9.9/dns.quad9.net": "9.9.9.9:853/dns.quad9.net",
		"": "", "dns.google": "", "1.1.1.1:0": "", "1.1.1.1/": "", "/dns.google": "", "1.1.1.1:53/a..b": "", "1.1.1.1:99999": "",
	} {
		s, err := ParseServer(text)
		if (err == nil) != (want != "") || err == nil && s.String() != want {
			t.Errorf("%q: %q, %v; want %q", text, s, err, want)
		}
	}
}
