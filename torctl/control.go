package torctl

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cretz/bine/control"
)

// commandTimeout bounds each command and its answer; maxAnswer what an answer may weigh.
const (
	commandTimeout = 5 * time.Second
	maxAnswer      = 1 << 20
)

// Auth says how to authenticate. The zero value does what Tor offers: nothing,
// or the cookie that PROTOCOLINFO names.
type Auth struct {
	Password   string // preferred when set and Tor takes passwords
	CookieFile string // in place of the path that Tor gives
}

// OfflineError means that nothing answers at the control port.
type OfflineError struct {
	Address string
	Err     error
}

func (e *OfflineError) Error() string {
	return fmt.Sprintf("torctl: no Tor at %s (%v): start Tor, or set ControlPort in its torrc", e.Address, e.Err)
}

// Unwrap returns the cause.
func (e *OfflineError) Unwrap() error { return e.Err }

// AuthError means that Tor does not let us in. Its text says what to do.
type AuthError struct {
	Method string // "cookie", "password" or "none"
	Cure   string
	Err    error
}

func (e *AuthError) Error() string {
	return fmt.Sprintf("torctl: Tor refused us (%s): %v; %s", e.Method, e.Err, e.Cure)
}

// Unwrap returns the cause.
func (e *AuthError) Unwrap() error { return e.Err }

// Control is one authenticated control connection. Its methods are for one
// goroutine; each takes at most five seconds.
type Control struct {
	conn  *boundedConn
	bine  *control.Conn
	close func() bool
}

// DialControl connects to Tor's control port at address (host:port, or the
// path of a Unix socket) and authenticates. When ctx ends the connection ends
// with it. Errors are *OfflineError, *AuthError, or those of a port that is no control port.
func DialControl(ctx context.Context, address string, auth Auth) (*Control, error) {
	kind := "tcp"
	if strings.HasPrefix(address, "/") {
		kind = "unix"
	}
	dctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(dctx, kind, address)
	if err != nil {
		return nil, &OfflineError{address, err}
	}
	c := &Control{conn: &boundedConn{Conn: nc}}
	c.bine = control.NewConn(textproto.NewConn(c.conn))
	c.close = context.AfterFunc(ctx, func() { _ = nc.Close() })
	if err := c.authenticate(auth); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close ends the connection, and with it the services it added.
func (c *Control) Close() {
	c.close()
	_ = c.conn.Close()
}

func (c *Control) authenticate(auth Auth) error {
	c.conn.step()
	info, err := c.bine.ProtocolInfo()
	if err != nil {
		return fmt.Errorf("torctl: this port does not speak Tor's control protocol: %w", err)
	}
	has := info.HasAuthMethod
	switch {
	case auth.Password != "" && has("HASHEDPASSWORD"):
		if err := c.ask("AUTHENTICATE %s", hex.EncodeToString([]byte(auth.Password))); err != nil {
			return &AuthError{"password", "give the password whose hash is HashedControlPassword in torrc", err}
		}
	case has("NULL"):
		if err := c.ask("AUTHENTICATE"); err != nil {
			return &AuthError{"none", "see torrc", err}
		}
	case has("SAFECOOKIE") || has("COOKIE"):
		return c.cookie(auth, info)
	case has("HASHEDPASSWORD"):
		return &AuthError{"password", "give the password whose hash is HashedControlPassword in torrc", errors.New("a password is needed")}
	default:
		return &AuthError{"none", "set CookieAuthentication 1 in torrc", errors.New("no known method is offered")}
	}
	return nil
}

func (c *Control) cookie(auth Auth, info *control.ProtocolInfo) error {
	path := info.CookieFile
	if auth.CookieFile != "" {
		path = auth.CookieFile
	}
	cookie, err := os.ReadFile(path)
	if err != nil {
		return &AuthError{"cookie", "let this user read the file (the group is often debian-tor), or use a password", err}
	}
	if len(cookie) != 32 {
		return &AuthError{"cookie", "name Tor's own cookie file", fmt.Errorf("%s has %d bytes, not 32", path, len(cookie))}
	}
	answer := hex.EncodeToString(cookie)
	if info.HasAuthMethod("SAFECOOKIE") {
		if answer, err = c.safeCookie(cookie); err != nil {
			return &AuthError{"cookie", "restart Tor if its cookie file is an old one", err}
		}
	}
	if err := c.ask("AUTHENTICATE %s", answer); err != nil {
		return &AuthError{"cookie", "restart Tor if its cookie file is an old one", err}
	}
	return nil
}

// ask sends a command of which only success matters.
func (c *Control) ask(format string, args ...any) error {
	c.conn.step()
	_, err := c.bine.SendRequest(format, args...)
	return err
}

// info is GETINFO of one key. A value of several lines has them joined by newlines.
func (c *Control) info(key string) (string, error) {
	c.conn.step()
	resp, err := c.bine.SendRequest("GETINFO %s", key)
	if err != nil {
		return "", fmt.Errorf("torctl: GETINFO %s: %w", key, err)
	}
	for _, line := range resp.Data {
		if k, v, ok := strings.Cut(line, "="); ok && k == key {
			return strings.Trim(strings.ReplaceAll(v, "\r", ""), "\n"), nil
		}
	}
	return "", fmt.Errorf("torctl: GETINFO %s: no value in the answer", key)
}

// Version is Tor's version.
func (c *Control) Version() (string, error) { return c.info("version") }

// SOCKS is the host:port of Tor's first SOCKS listener on TCP.
func (c *Control) SOCKS() (string, error) {
	v, err := c.info("net/listeners/socks")
	if err != nil {
		return "", err
	}
	for _, field := range strings.Fields(v) {
		address := strings.Trim(field, `"`)
		if _, _, err := net.SplitHostPort(address); err == nil && !strings.HasPrefix(address, "unix:") {
			return address, nil
		}
	}
	return "", errors.New("torctl: Tor has no SOCKS port: set SocksPort in its torrc")
}

// Bootstrap is how far Tor has come, 0 to 100, and what it is doing.
func (c *Control) Bootstrap() (percent int, summary string, err error) {
	v, err := c.info("status/bootstrap-phase")
	if err != nil {
		return 0, "", err
	}
	if _, rest, ok := strings.Cut(v, "PROGRESS="); ok {
		digits, _, _ := strings.Cut(rest, " ")
		percent, _ = strconv.Atoi(digits)
	}
	if _, rest, ok := strings.Cut(v, `SUMMARY="`); ok {
		summary, _, _ = strings.Cut(rest, `"`)
	}
	return percent, summary, nil
}

// Onions are the ids of the services that this connection added.
func (c *Control) Onions() ([]string, error) {
	v, err := c.info("onions/current")
	if err != nil {
		return nil, err
	}
	return strings.Fields(v), nil
}

// addOnion adds the service of key, forwarding its virtual port to target.
func (c *Control) addOnion(key Key, port uint16, target string) error {
	c.conn.step()
	resp, err := c.bine.SendRequest("ADD_ONION ED25519-V3:%s Flags=DiscardPK Port=%d,%s", key.blob(), port, target)
	if err != nil {
		return fmt.Errorf("torctl: ADD_ONION: %w", err)
	}
	for _, line := range resp.Data {
		if id, ok := strings.CutPrefix(line, "ServiceID="); ok && id == key.ServiceID() {
			return nil
		}
	}
	return errors.New("torctl: ADD_ONION: Tor made another service than the key's")
}

// boundedConn gives every command its time and its share of memory.
type boundedConn struct {
	net.Conn
	left int
}

func (b *boundedConn) step() {
	b.left = maxAnswer
	_ = b.SetDeadline(time.Now().Add(commandTimeout))
}

func (b *boundedConn) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.ErrShortBuffer
	}
	if len(p) > b.left {
		p = p[:b.left]
	}
	n, err := b.Conn.Read(p)
	b.left -= n
	return n, err
}
