//go:build linux

package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// dialFrom opens a connection from one of our addresses. When it is closed it is reset, so that no port is left waiting.
func dialFrom(ctx context.Context, source netip.Addr, to string) (*net.TCPConn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))}
	c, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		return nil, err
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	return c.(*net.TCPConn), nil
}

// meet is a connection with a handshake, from a source and with the i-th key.
func (w *worker) meet(ctx context.Context, source netip.Addr, i int) (*dialect.Session, error) {
	us, err := someone(i)
	if err != nil {
		return nil, err
	}
	c, err := dialFrom(ctx, source, w.host)
	if err != nil {
		return nil, err
	}
	s, err := dialect.Of(w.network).Upgrade(ctx, c, network.DirOutbound, us)
	if err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

// echoOnce sends a byte and has it back.
func echoOnce(ctx context.Context, s *dialect.Session) error {
	st, err := s.OpenStream(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	end, _ := ctx.Deadline()
	_ = st.SetDeadline(end)
	if _, err := tariproto.Select(st, echo); err != nil {
		return err
	}
	b := []byte{42}
	if _, err := st.Write(b); err != nil {
		return err
	}
	if err := st.CloseWrite(); err != nil {
		return err
	}
	back, err := io.ReadAll(st)
	if err == nil && (len(back) != 1 || back[0] != 42) {
		err = fmt.Errorf("the echo is %v", back)
	}
	return err
}

// meetAll makes Count sessions, each with a key of its own, from all sources in turn. Kind "busy" has each hold a stream open.
func (w *worker) meetAll() (sessions []*dialect.Session, failures []error) {
	sessions, errs := make([]*dialect.Session, w.Count), make([]error, w.Count)
	inParallel(w.Count, 32, func(i int) {
		for range 20 { // the host may have as many handshakes as it takes from there
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			sessions[i], errs[i] = w.meet(ctx, w.source(i), int(w.Net)<<32+i)
			cancel()
			if errs[i] == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if errs[i] == nil && w.Kind == "busy" {
			if st, err := sessions[i].OpenStream(context.Background()); err == nil {
				_, errs[i] = tariproto.Select(st, echo)
			}
		}
	})
	return sessions, slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// part ends sessions.
func (w *worker) part(sessions []*dialect.Session) {
	inParallel(len(sessions), 64, func(i int) {
		if sessions[i] != nil {
			sessions[i].Close()
		}
	})
}

func alive(sessions []*dialect.Session) (n int) {
	for _, s := range sessions {
		if s != nil && !s.IsClosed() {
			n++
		}
	}
	return n
}

// ping has an echo of every session, a few at a time, and returns how long those took that came.
func (w *worker) ping(sessions []*dialect.Session) []time.Duration {
	took := make([]time.Duration, len(sessions))
	inParallel(len(sessions), 4, func(i int) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		began := time.Now()
		if sessions[i] != nil && echoOnce(ctx, sessions[i]) == nil {
			took[i] = time.Since(began)
		}
	})
	return slices.DeleteFunc(took, func(d time.Duration) bool { return d == 0 })
}

// hold is meetAll, and then does as it is told.
func hold(w *worker) error {
	began := time.Now()
	sessions, failures := w.meetAll()
	w.say("held", "failed", len(failures), "seconds", time.Since(began).Seconds())
	for {
		switch command := w.hear(); command {
		case "ping":
			took := w.ping(sessions)
			w.say("pinged", "failed", len(sessions)-len(took), "p50", quantile(took, .5).Seconds(), "p99", quantile(took, .99).Seconds())
		case "alive":
			w.say("alive", "sessions", alive(sessions))
		case "end":
			w.part(sessions)
			return nil
		default:
			return errors.New(command)
		}
	}
}

// stall opens Count connections that get no further than Kind says, and tells when each was closed.
func stall(w *worker) error {
	var opened, closed sync.WaitGroup
	took := make([]time.Duration, w.Count)
	for i := range w.Count {
		opened.Add(1)
		closed.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			c, err := dialFrom(ctx, w.source(i), w.host)
			began := time.Now()
			opened.Done()
			if err != nil {
				return
			}
			defer c.Close()
			w.stuck(ctx, c, i)
			took[i] = time.Since(began)
		})
	}
	opened.Wait()
	w.say("stalled")
	closed.Wait()
	w.say("closed", "first", quantile(took, 0).Seconds(), "last", quantile(took, 1).Seconds())
	return nil
}

// stuck returns when the host has closed the connection.
func (w *worker) stuck(ctx context.Context, c net.Conn, i int) {
	var drip sync.WaitGroup
	defer drip.Wait()
	there, gone := context.WithCancel(ctx)
	defer gone()
	switch w.Kind {
	case "silent":
	case "drip": // a byte every five seconds
		drip.Go(func() {
			for _, b := range append([]byte{w.network.WireByte, 0, 32}, make([]byte, 32)...) {
				_, _ = c.Write([]byte{b})
				select {
				case <-time.After(5 * time.Second):
				case <-there.Done():
					return
				}
			}
		})
	case "cut": // in the middle of the handshake
		us, _ := someone(i)
		_, _ = dialect.Of(w.network).Upgrade(ctx, &onlySo{Conn: &patient{c}, left: 1 + i%150}, network.DirOutbound, us)
	case "nameless": // after Noise
		w.proven(ctx, c, i, func() {})
	case "stuffed": // after Noise, all but the last byte of a frame of the longest kind
		w.proven(ctx, c, i, func() { _, _ = c.Write(append([]byte{0xff, 0xff}, make([]byte, 0xfffe)...)) })
	}
	_ = ended(c)
}

// modernNoise is Noise as docs/spec/modern.md has it.
var modernNoise = noise.Params{Pattern: noise.XX, Prologue: []byte("com.tari.comms.noise.prologue"), HashDH: true}

// proven finishes Noise, and then calls next. A whole dial in the modern dialect would keep its last message back until there is a claim.
func (w *worker) proven(ctx context.Context, c net.Conn, i int, next func()) {
	us, _ := someone(i)
	if d := dialect.Of(w.network); d.String() != "modern" {
		us.Claim = func() (*identityproto.Claim, error) { next(); return nil, ended(c) }
		_, _ = d.Upgrade(ctx, &patient{c}, network.DirOutbound, us)
		return
	}
	_, _ = noise.Client(ctx, &patient{c}, noise.Config{Params: modernNoise, Static: us.Key, Preamble: []byte{w.network.WireByte}, StepTimeout: patience})
	next()
}

// ended waits until the other side closes.
func ended(c net.Conn) error {
	_, _ = io.Copy(io.Discard, c)
	return io.EOF
}

// patient is a connection on which deadlines and Close wait for the other side.
type patient struct{ net.Conn }

func (patient) SetDeadline(time.Time) error      { return nil }
func (patient) SetReadDeadline(time.Time) error  { return nil }
func (patient) SetWriteDeadline(time.Time) error { return nil }

// honest dials again and again, each time from the next source and with another key, and says a word.
func honest(w *worker) error {
	quit := make(chan struct{})
	go func() {
		for w.hear() != "end" {
		}
		close(quit)
	}()
	var took []time.Duration
	dials, good := 0, 0
	failures := map[string]int{}
	w.say("dialing")
	for {
		dials++
		began := time.Now()
		err := w.dialOnce(dials)
		if err == nil {
			good++
			took = append(took, time.Since(began))
		} else {
			failures[err.Error()]++
		}
		select {
		case <-quit:
			w.say("dialed", "dials", dials, "good", good, "p50", quantile(took, .5).Seconds(), "p99", quantile(took, .99).Seconds(), "max", quantile(took, 1).Seconds())
			return nil
		case <-time.After(time.Duration(w.Pause) * time.Millisecond):
		}
	}
}

func (w *worker) dialOnce(i int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := w.meet(ctx, w.source(i), int(w.Net)<<32+i)
	if err != nil {
		return err
	}
	defer s.Close()
	return echoOnce(ctx, s)
}

// inParallel does all of 0…n-1, so many at a time.
func inParallel(n, atOnce int, do func(int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(atOnce, n) {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				do(i)
			}
		})
	}
	all.Wait()
}
