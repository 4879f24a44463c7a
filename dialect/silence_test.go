package dialect

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tari-libp2p/tari-libp2p/memnet"
)

// silencedConn loses what is written to it from a certain moment on, as a firewall that drops packets does.
type silencedConn struct {
	net.Conn
	silent *atomic.Bool
}

func (c silencedConn) Write(p []byte) (int, error) {
	if c.silent.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// TestSilentLinkIsNoticed: both ends of a connection whose packets are dropped notice within a minute, in either dialect, idle or while
// writing, and whichever direction is cut.
func TestSilentLinkIsNoticed(t *testing.T) {
	for _, cut := range []struct {
		name                  string
		ours, theirs, writing bool
	}{
		{"both ways", true, true, false},
		{"both ways, writing", true, true, true},
		{"what we send", true, false, false},
	} {
		t.Run(cut.name, func(t *testing.T) {
			inEach(t, func(t *testing.T, n Network) {
				a, b := memnet.Pipe()
				var ours, theirs atomic.Bool
				c, s := meet(n, silencedConn{a, &ours}, silencedConn{b, &theirs}, someone(t, "a"), someone(t, "b"))
				defer part(c, s)
				if c.err != nil || s.err != nil {
					t.Fatal(c.err, s.err)
				}
				time.Sleep(10 * time.Minute) // idle is not silent
				if c.session.IsClosed() || s.session.IsClosed() {
					t.Fatal("an idle connection ended")
				}
				ours.Store(cut.ours)
				theirs.Store(cut.theirs)
				if cut.writing {
					stream, err := c.session.OpenStream(t.Context())
					if err == nil {
						_, err = stream.Write(make([]byte, 1000))
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(60 * time.Second)
				synctest.Wait()
				if !c.session.IsClosed() || !s.session.IsClosed() {
					t.Errorf("closed after 60 s: %v and %v", c.session.IsClosed(), s.session.IsClosed())
				}
			})
		})
	}
}

// A session that ends does not wait for a peer that takes nothing longer than closeLimit, and tells who was still writing.
func TestCloseOnASilentLink(t *testing.T) {
	inEach(t, func(t *testing.T, n Network) {
		a, b := memnet.Pipe()
		var ours atomic.Bool
		c, s := meet(n, silencedConn{a, &ours}, b, someone(t, "a"), someone(t, "b"))
		defer part(s)
		if c.err != nil || s.err != nil {
			t.Fatal(c.err, s.err)
		}
		stream, err := c.session.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ours.Store(true)
		writing := make(chan error, 1)
		go func() {
			_, err := stream.Write(make([]byte, 1<<20)) // more than the window
			writing <- err
		}()
		synctest.Wait()
		began := time.Now()
		if err := c.session.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if took := time.Since(began); took != closeLimit || <-writing == nil {
			t.Errorf("closed after %v", took)
		}
	})
}
