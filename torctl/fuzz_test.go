package torctl

import (
	"bytes"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cretz/bine/control"
)

// scripted is a control port that answers from a byte string, whatever it is told.
type scripted struct {
	net.Conn
	in   *bytes.Reader
	read int
}

func (s *scripted) Read(b []byte) (int, error) {
	n, err := s.in.Read(b)
	s.read += n
	return n, err
}
func (s *scripted) Write(b []byte) (int, error)   { return len(b), nil }
func (s *scripted) SetDeadline(_ time.Time) error { return nil }

// FuzzAnswers: whoever sits at the control port, nothing panics, and each question ends.
func FuzzAnswers(f *testing.F) {
	const hello = "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250-VERSION Tor=\"0.4.9.11\"\r\n250 OK\r\n250 OK\r\n"
	for _, answers := range []string{
		"", "250 OK\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "515 no\r\n",
		hello + "250-version=0.4.9.11\r\n250 OK\r\n250-net/listeners/socks=\"127.0.0.1:9050\"\r\n250 OK\r\n",
		hello + "250+version=\r\na\r\nb\r\n.\r\n250 OK\r\n250-net/listeners/socks=\"unix:/x\" \"127.0.0.1:9\"\r\n250 OK\r\n250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=85 TAG=x SUMMARY=\"y\"\r\n250 OK\r\n250+onions/current=\r\nabc\r\ndef\r\n.\r\n250 OK\r\n250-ServiceID=abc\r\n250 OK\r\n",
		"250-PROTOCOLINFO 1\r\n250-AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE=\"/x\\\"y\"\r\n250 OK\r\n250 AUTHCHALLENGE SERVERHASH=00 SERVERNONCE=zz\r\n",
		"250-PROTOCOLINFO 1\r\n250-AUTH METHODS=HASHEDPASSWORD\r\n250-VERSION Tor=\r\n250 OK\r\n515 Bad\r\n",
		"250-\r\n250 \r\n", "250+\r\n.\r\n", "250", "2\r\n", "250-PROTOCOLINFO\r\n250-AUTH\r\n250-VERSION\r\n250 OK\r\n", "650 EVENT\r\n250 OK\r\n",
	} {
		f.Add([]byte(answers), false)
		f.Add([]byte(answers), true)
	}
	cookie := filepath.Join(f.TempDir(), "cookie")
	if err := os.WriteFile(cookie, make([]byte, 32), 0o600); err != nil {
		f.Fatal(err)
	}
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answers []byte, password bool) {
		port := &scripted{in: bytes.NewReader(answers)}
		c := &Control{conn: &boundedConn{Conn: port}, close: func() bool { return true }}
		c.bine = control.NewConn(textproto.NewConn(c.conn))
		auth := Auth{CookieFile: cookie}
		if password {
			auth.Password = "open sesame"
		}
		if c.authenticate(auth) != nil {
			return
		}
		_, _ = c.Version()
		if at, err := c.SOCKS(); err == nil {
			if _, _, err := net.SplitHostPort(at); err != nil {
				t.Errorf("a SOCKS port at %q", at)
			}
		}
		_, _, _ = c.Bootstrap()
		_, _ = c.Onions()
		if err := c.addOnion(key, 18141, "127.0.0.1:1"); err == nil && !bytes.Contains(answers, []byte(key.ServiceID())) {
			t.Error("a service that nobody named")
		}
	})
}
