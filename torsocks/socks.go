package torsocks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// Time limits of the steps of a dial, where a Dialer says nothing else.
const (
	DefaultConnectTimeout = 10 * time.Second  // to the proxy itself
	DefaultStepTimeout    = 10 * time.Second  // for each answer of greeting and authentication
	DefaultRequestTimeout = 120 * time.Second // for the answer to CONNECT: an onion service takes its time
)

// Dialer dials through one SOCKS5 proxy. Only Proxy or Find is needed.
type Dialer struct {
	Proxy    string                 // host:port of the proxy
	Find     func() (string, error) // where the proxy is now, asked at each dial, in place of Proxy: Tor may move its ports
	User     string                 // 1 to 255 bytes; empty: no fixed user, peers are isolated from each other
	Password string                 // 1 to 255 bytes, with User

	ConnectTimeout time.Duration // 0: DefaultConnectTimeout
	StepTimeout    time.Duration // 0: DefaultStepTimeout
	RequestTimeout time.Duration // 0: DefaultRequestTimeout
}

// StepError names the step of a dial through the proxy that failed: "proxy",
// "greeting", "authentication" or "request".
type StepError struct {
	Step string
	Err  error
}

func (e *StepError) Error() string { return "torsocks: " + e.Step + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

var (
	// ErrNoMethod means that the proxy takes none of the ways to authenticate that we have.
	ErrNoMethod = errors.New("the proxy accepts none of our authentication methods")
	// ErrAuth means that the proxy refused user name and password.
	ErrAuth = errors.New("the proxy refused user name and password")
	// ErrProtocol means that what answered speaks no SOCKS5.
	ErrProtocol = errors.New("the answer is not SOCKS5")
	// ErrTarget means that a host name or port cannot be asked for.
	ErrTarget = errors.New("host names have 1 to 255 bytes and ports are not 0")
)

// ReplyError is the proxy's refusal of a CONNECT.
type ReplyError struct{ Code byte }

func (e *ReplyError) Error() string {
	if text, ok := replies[e.Code]; ok {
		return text
	}
	return fmt.Sprintf("the proxy answered with the unknown code 0x%02x", e.Code)
}

// Timeout reports whether the proxy gave up waiting.
func (e *ReplyError) Timeout() bool { return e.Code == 0x06 || e.Code == 0xf7 }

// replies are the codes of RFC 1928 and those Tor adds (its proposal 304).
var replies = map[byte]string{
	0x01: "general failure of the proxy",
	0x02: "not allowed by the proxy's rules",
	0x03: "network unreachable",
	0x04: "host unreachable",
	0x05: "connection refused",
	0x06: "the proxy's time ran out",
	0x07: "the proxy does not support CONNECT",
	0x08: "the proxy does not support this type of address",
	0xf0: "the onion service's descriptor was not found: it is offline, or never existed",
	0xf1: "the onion service's descriptor is invalid",
	0xf2: "the onion service could not be introduced to",
	0xf3: "no rendezvous with the onion service",
	0xf4: "the onion service wants client authorization",
	0xf5: "the onion service refused our client authorization",
	0xf6: "the onion address is invalid",
	0xf7: "the introduction to the onion service timed out",
}

// Dial connects to host:port through the proxy. isolation, at most 255 bytes,
// is sent as user name and password when the Dialer has none of its own and
// keeps the circuits of different values apart. The host is a name, an onion
// name or an IP address; it is resolved by the proxy. ctx bounds the whole dial.
func (d *Dialer) Dial(ctx context.Context, host string, port uint16, isolation string) (net.Conn, error) {
	if len(host) == 0 || len(host) > 255 || port == 0 {
		return nil, &StepError{"request", ErrTarget}
	}
	proxy := d.Proxy
	if d.Find != nil {
		var err error
		if proxy, err = d.Find(); err != nil {
			return nil, &StepError{"proxy", err}
		}
	}
	dctx, cancel := context.WithTimeout(ctx, or(d.ConnectTimeout, DefaultConnectTimeout))
	defer cancel()
	var nd net.Dialer
	c, err := nd.DialContext(dctx, "tcp", proxy)
	if err != nil {
		return nil, &StepError{"proxy", err}
	}
	// A cancelled context ends whatever read or write is going on.
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	err = d.ask(ctx, c, host, port, isolation)
	if !stop() && err == nil {
		err = &StepError{"request", ctx.Err()}
	}
	if err != nil {
		_ = c.Close()
		if ctx.Err() != nil {
			var step *StepError
			if errors.As(err, &step) {
				return nil, &StepError{step.Step, ctx.Err()}
			}
		}
		return nil, err
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		_ = c.Close()
		return nil, &StepError{"request", err}
	}
	return c, nil
}

// ask is SOCKS5 from the client's side, in wire order. It reads each answer
// byte-exactly: what follows the last one belongs to the peer.
func (d *Dialer) ask(ctx context.Context, c net.Conn, host string, port uint16, isolation string) error {
	user, password := d.credentials(isolation)
	step := or(d.StepTimeout, DefaultStepTimeout)

	// -> 05 n methods, <- 05 method
	setDeadline(ctx, c, step)
	methods := []byte{5, 1, 0}
	if user != "" {
		methods = []byte{5, 2, 0, 2}
	}
	var b [4]byte
	if err := exchange(c, methods, b[:2]); err != nil {
		return &StepError{"greeting", err}
	}
	switch {
	case b[0] != 5:
		return &StepError{"greeting", ErrProtocol}
	case b[1] == 0xff:
		return &StepError{"greeting", ErrNoMethod}
	case b[1] == 2 && user != "":
		// -> 01 ulen user plen password, <- 01 status   (RFC 1929)
		setDeadline(ctx, c, step)
		auth := append([]byte{1, byte(len(user))}, user...)
		auth = append(append(auth, byte(len(password))), password...)
		if err := exchange(c, auth, b[:2]); err != nil {
			return &StepError{"authentication", err}
		}
		if b[0] != 1 {
			return &StepError{"authentication", ErrProtocol}
		}
		if b[1] != 0 {
			return &StepError{"authentication", ErrAuth}
		}
	case b[1] != 0:
		return &StepError{"greeting", ErrNoMethod}
	}

	// -> 05 01 00 atyp address port, <- 05 code 00 atyp address port
	setDeadline(ctx, c, or(d.RequestTimeout, DefaultRequestTimeout))
	if err := exchange(c, connectRequest(host, port), b[:4]); err != nil {
		return &StepError{"request", err}
	}
	if b[0] != 5 || b[2] != 0 {
		return &StepError{"request", ErrProtocol}
	}
	if b[1] != 0 {
		return &StepError{"request", &ReplyError{b[1]}}
	}
	if err := skipAddress(c, b[3]); err != nil {
		return &StepError{"request", err}
	}
	return nil
}

func (d *Dialer) credentials(isolation string) (user, password string) {
	if d.User != "" {
		return d.User, d.Password
	}
	if len(isolation) > 255 {
		isolation = isolation[:255]
	}
	return isolation, isolation
}

func connectRequest(host string, port uint16) []byte {
	req := []byte{5, 1, 0}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().Is4() {
		req = append(append(req, 1), ip.Unmap().AsSlice()...)
	} else if err == nil {
		req = append(append(req, 4), ip.AsSlice()...)
	} else {
		req = append(append(req, 3, byte(len(host))), host...)
	}
	return binary.BigEndian.AppendUint16(req, port)
}

// skipAddress reads the bound address of a reply, which tells us nothing.
func skipAddress(r io.Reader, atyp byte) error {
	var n int
	switch atyp {
	case 1:
		n = 4
	case 4:
		n = 16
	case 3:
		var l [1]byte
		if err := readFull(r, l[:]); err != nil {
			return err
		}
		n = int(l[0])
	default:
		return ErrProtocol
	}
	return readFull(r, make([]byte, n+2))
}

func exchange(c net.Conn, out, in []byte) error {
	if _, err := c.Write(out); err != nil {
		return err
	}
	return readFull(c, in)
}

// readFull says io.ErrUnexpectedEOF also when nothing came: an answer is owed.
func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// setDeadline gives the next step its time, unless the context is over: then
// the deadline in the past, which ended it, must stay.
func setDeadline(ctx context.Context, c net.Conn, d time.Duration) {
	_ = c.SetDeadline(time.Now().Add(d))
	if ctx.Err() != nil {
		_ = c.SetDeadline(time.Unix(1, 0))
	}
}

func or(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}
