package seeds

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Server is a name server to ask. The zero value is the system's resolver.
type Server struct {
	Addr netip.AddrPort // of the server; invalid: the system's resolver
	TLS  string         // the name in its certificate; empty: plain DNS, by UDP and for long answers by TCP
}

// ParseServer reads "system", "IP", "IP:PORT" (port 53 if there is none), or
// "IP:PORT/NAME" for a server that is asked by TLS and proves to be NAME, as
// dns_seed_name_servers of a Tari node's configuration.
func ParseServer(s string) (Server, error) {
	if s == "system" {
		return Server{}, nil
	}
	where, name, encrypted := strings.Cut(s, "/")
	if _, ok := dns.IsDomainName(name); encrypted && (name == "" || !ok) {
		return Server{}, errors.New("seeds: a name server's TLS name is no host name")
	}
	if ip, err := netip.ParseAddr(where); err == nil {
		port := uint16(53)
		if encrypted {
			port = 853
		}
		return Server{Addr: netip.AddrPortFrom(ip, port), TLS: name}, nil
	}
	addr, err := netip.ParseAddrPort(where)
	if err != nil || addr.Port() == 0 {
		return Server{}, errors.New(`seeds: a name server is "system", IP, IP:PORT or IP:PORT/NAME`)
	}
	return Server{Addr: addr, TLS: name}, nil
}

// PublicServers are the servers by TLS that tari_p2p lists.
func PublicServers() []Server {
	var servers []Server
	for _, text := range []string{"1.1.1.1:853/cloudflare-dns.com", "8.8.8.8:853/dns.google", "9.9.9.9:853/dns.quad9.net"} {
		server, _ := ParseServer(text) // tested
		servers = append(servers, server)
	}
	return servers
}

// String is the form that ParseServer reads.
func (s Server) String() string {
	switch {
	case !s.Addr.IsValid():
		return "system"
	case s.TLS != "":
		return s.Addr.String() + "/" + s.TLS
	}
	return s.Addr.String()
}

// What a name server's answer can lack.
var (
	// ErrNoName: there is no such name.
	ErrNoName = errors.New("no such name")
	// ErrMismatch: the answer is to another question.
	ErrMismatch = errors.New("the answer is to another question")
	// ErrSystem: the system's resolver cannot do what was asked of it.
	ErrSystem = errors.New("the system's resolver shows no signatures and uses no proxy: name another server")
)

// A CodeError is an answer without an answer: the server says why.
type CodeError struct{ Code int }

func (e *CodeError) Error() string {
	if text, ok := dns.RcodeToString[e.Code]; ok {
		return "the server answers " + text
	}
	return fmt.Sprintf("the server answers with code %d", e.Code)
}

// asker puts questions to one server.
type asker struct {
	server  Server
	cfg     *Config
	anchors []anchor
}

// txt are the TXT records of a name, the strings of each joined.
func (a *asker) txt(ctx context.Context, name string) ([]string, error) {
	if a.server.Addr.IsValid() {
		if a.cfg.DNSSEC {
			rrs, err := (&chain{ask: a.ask, anchors: a.anchors}).secure(ctx, name, dns.TypeTXT)
			return textsOf(rrs), err
		}
		answer, err := a.ask(ctx, name, dns.TypeTXT)
		if err != nil {
			return nil, err
		}
		return textsOf(answer.Answer), nil
	}
	if a.cfg.DNSSEC || a.cfg.Dial != nil {
		return nil, ErrSystem
	}
	texts, err := net.DefaultResolver.LookupTXT(ctx, name)
	var missing *net.DNSError
	if errors.As(err, &missing) && missing.IsNotFound {
		return nil, ErrNoName
	}
	return texts, err
}

func textsOf(rrs []dns.RR) (texts []string) {
	for _, rr := range rrs {
		if txt, ok := rr.(*dns.TXT); ok {
			texts = append(texts, strings.Join(txt.Txt, ""))
		}
	}
	return texts
}

// ask puts one question, again by TCP if the answer was cut short.
func (a *asker) ask(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	question.SetEdns0(1232, a.cfg.DNSSEC) // what fits into a packet everywhere
	question.CheckingDisabled = a.cfg.DNSSEC
	network := "udp"
	if a.server.TLS != "" {
		network = "tcp"
	}
	answer, err := a.exchange(ctx, network, question)
	if network == "udp" && (err == nil && answer.Truncated || err != nil && ctx.Err() == nil && a.cfg.Dial != nil) {
		answer, err = a.exchange(ctx, "tcp", question)
	}
	switch {
	case err != nil:
		return nil, err
	case len(answer.Question) != 1 || !sameQuestion(answer.Question[0], question.Question[0]):
		return nil, ErrMismatch
	case answer.Rcode == dns.RcodeNameError:
		return nil, ErrNoName
	case answer.Rcode != dns.RcodeSuccess:
		return nil, &CodeError{answer.Rcode}
	case answer.Truncated:
		return nil, errors.New("the answer is cut short")
	}
	return answer, nil
}

func sameQuestion(a, b dns.Question) bool {
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}

// exchange sends a question over a connection of its own and waits for the answer.
func (a *asker) exchange(ctx context.Context, network string, question *dns.Msg) (*dns.Msg, error) {
	dial := a.cfg.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	raw, err := dial(ctx, network, a.server.Addr.String())
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	if a.server.TLS != "" {
		secured := tls.Client(raw, &tls.Config{ServerName: a.server.TLS, RootCAs: a.cfg.Roots, MinVersion: tls.VersionTLS12})
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		raw = secured
	}
	if network == "udp" {
		return exchangePackets(ctx, raw, question)
	}
	conn := &dns.Conn{Conn: raw}
	if err := conn.WriteMsg(question); err != nil {
		return nil, err
	}
	answer, err := conn.ReadMsg()
	if err == nil && (answer.Id != question.Id || !answer.Response) {
		err = ErrMismatch
	}
	return answer, err
}

// resendAfter is when a packet counts as lost, as tari_comms has it; the answer
// to an earlier one counts too.
const resendAfter = time.Second

// exchangePackets sends a question, again and again, until ctx ends or its
// answer comes. By UDP anybody can send us anything: what is no answer to the
// question's id is passed over, as the true one may still come after it.
func exchangePackets(ctx context.Context, conn net.Conn, question *dns.Msg) (*dns.Msg, error) {
	sent, err := question.Pack()
	if err != nil {
		return nil, err
	}
	packet := make([]byte, dns.MaxMsgSize)
	for ctx.Err() == nil {
		if _, err := conn.Write(sent); err != nil {
			return nil, err
		}
		conn.SetReadDeadline(time.Now().Add(resendAfter))
		answer, err := readPacket(conn, packet, question.Id)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return answer, err
		}
	}
	return nil, ctx.Err()
}

func readPacket(conn net.Conn, packet []byte, id uint16) (*dns.Msg, error) {
	for {
		n, err := conn.Read(packet)
		if err != nil {
			return nil, err
		}
		if answer, ok := parseAnswer(packet[:n], id); ok {
			return answer, nil
		}
	}
}

// parseAnswer reads a packet that may be the answer with an id.
func parseAnswer(packet []byte, id uint16) (*dns.Msg, bool) {
	answer := new(dns.Msg)
	if answer.Unpack(packet) != nil || answer.Id != id || !answer.Response {
		return nil, false
	}
	return answer, true
}
