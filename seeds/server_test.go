package seeds

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// zones answers questions out of a list of records.
type zones struct {
	mu      sync.Mutex
	records []dns.RR
	code    int                                    // if not 0, the answer to everything
	edit    func(w dns.ResponseWriter, m *dns.Msg) // if set, sends the answer
	asked   []string                               // "udp TXT name"
}

func (z *zones) add(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		z.records = append(z.records, rr)
	}
}

func (z *zones) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.mu.Lock()
	network := w.RemoteAddr().Network()
	z.asked = append(z.asked, network+" "+dns.TypeToString[q.Question[0].Qtype]+" "+q.Question[0].Name)
	z.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	if m.Rcode = z.code; m.Rcode == 0 {
		exists := false
		for _, rr := range z.records {
			if !strings.EqualFold(rr.Header().Name, q.Question[0].Name) {
				continue
			}
			exists = true
			s, signature := rr.(*dns.RRSIG)
			if rr.Header().Rrtype == q.Question[0].Qtype || signature && s.TypeCovered == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		if !exists {
			m.Rcode = dns.RcodeNameError
		}
	}
	if z.edit != nil {
		z.edit(w, m)
		return
	}
	if network == "udp" {
		m.Truncate(1232)
	}
	_ = w.WriteMsg(m)
}

func (z *zones) questions() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return slices.Clone(z.asked)
}

// serve runs a name server on UDP and TCP, or on TLS.
func serve(t *testing.T, z *zones, secured *tls.Config) Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := Server{Addr: listener.Addr().(*net.TCPAddr).AddrPort()}
	if secured != nil {
		at.TLS = "dns.example"
		run(t, &dns.Server{Listener: tls.NewListener(listener, secured), Handler: z})
		return at
	}
	packets, err := net.ListenPacket("udp", at.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	run(t, &dns.Server{Listener: listener, Handler: z})
	run(t, &dns.Server{PacketConn: packets, Handler: z})
	return at
}

func run(t *testing.T, s *dns.Server) {
	t.Helper()
	ready, ended := make(chan struct{}), make(chan error, 1)
	s.NotifyStartedFunc = func() { close(ready) }
	go func() { ended <- s.ActivateAndServe() }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// mute takes connections and packets, and answers nothing.
func mute(t *testing.T) Server {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = packets.Close() })
	return Server{Addr: netip.MustParseAddrPort(packets.LocalAddr().String())}
}

// authority is a CA for tests.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = issue(t, template, nil)
	a.pool.AddCert(a.cert)
	return a
}

// certificate is for a name, valid until then.
func (a *authority) certificate(t *testing.T, name string, until time.Time) *tls.Config {
	t.Helper()
	cert, key := issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
	}, a)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}

func issue(t *testing.T, template *x509.Certificate, by *authority) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := template, crypto.Signer(key)
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}
