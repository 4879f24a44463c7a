//go:build interop

package interop

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/wiremode"
)

// What a Rust listener takes, by default.
const (
	modernInbound    = 500 // connections
	modernHandshakes = 100 // at once
	seedHandshakes   = 20  // at once; more wait until there is room
)

// holders are strangers that begin a handshake and say no more. Whoever is
// closed comes back, until stop.
type holders struct {
	cancel context.CancelFunc
	all    sync.WaitGroup
}

// hold starts n of them and waits until each has been on the listener's door.
func hold(t *testing.T, rust *rustPeer, wire byte, n int) *holders {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h := &holders{cancel: cancel}
	t.Cleanup(h.stop)
	target := tcpOf(t, rust.ready.Address)
	var first sync.WaitGroup
	for range n {
		first.Add(1)
		arrived := sync.OnceFunc(first.Done)
		h.all.Go(func() {
			defer arrived()
			for ctx.Err() == nil {
				if err := holdOnce(ctx, target, wire, arrived); err != nil && ctx.Err() == nil {
					t.Errorf("a holder: %v", err)
					return
				}
				select { // refused or timed out: not at full speed
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
	}
	first.Wait()
	return h
}

// holdOnce makes one connection and keeps it until the other side or ctx ends it.
func holdOnce(ctx context.Context, target string, wire byte, arrived func()) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	_, _ = c.Write([]byte{wire})
	arrived()
	_, _ = io.Copy(io.Discard, c)
	return nil
}

func (h *holders) stop() {
	h.cancel()
	h.all.Wait()
}

// refused dials until the Rust peer is too full for us and returns the error.
func refused(t *testing.T, us *ourNode, rust *rustPeer) (err error) {
	t.Helper()
	waitUntil(t, "a refusal", func() bool {
		err = us.host.Connect(patient(t), addrInfo(t, rust))
		_ = us.host.Network().ClosePeer(peerID(t, rust))
		return err != nil
	})
	return err
}

// refusedBeside starts hosts of ours that stay connected with a Rust peer which
// should be full, until it refuses one, and returns that one.
func refusedBeside(t *testing.T, cfg tari.Config, rust *rustPeer) (*ourNode, error) {
	t.Helper()
	const most = 2 // a busy Rust peer may have dropped one of the crowd
	for taken := 0; taken <= most; taken++ {
		us := startOurs(t, cfg)
		if err := us.host.Connect(patient(t), addrInfo(t, rust)); err != nil {
			return us, err
		}
	}
	t.Fatal("the Rust peer is not full")
	return nil, nil
}

// takenAgain dials until the Rust peer takes us, and exchanges messages.
func takenAgain(t *testing.T, us *ourNode, rust *rustPeer) {
	t.Helper()
	waitUntil(t, "the Rust peer takes us", func() bool { return us.host.Connect(patient(t), addrInfo(t, rust)) == nil })
	waitUntil(t, "the Rust peer lists us", func() bool { return listed(us, rust) })
	toRust(t, us, rust, 1000, 1)
	fromRust(t, us, rust, 1000, 2)
	notBanned(t, us, rust)
}

// checkRefusal: a full listener of tari_comms 6 closes without reading, and
// our error says so.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	checkNoAnswer(t, err)
	if !errors.Is(err, noise.ErrNoAnswer) {
		t.Fatalf("the error is not noise.ErrNoAnswer: %v", err)
	}
}

// TestModernHandshakesFull: with a hundred handshakes under way the modern crate
// closes whoever comes; we say so, and are taken when they are gone.
func TestModernHandshakesFull(t *testing.T) {
	t.Parallel()
	rust := startRust(t, modern)
	us := startOurs(t, tari.Config{})
	h := hold(t, rust, mainnetByte, modernHandshakes+30)
	checkRefusal(t, refused(t, us, rust))
	h.stop()
	takenAgain(t, us, rust)
}

// TestModernConnectionsFull: the same with five hundred connections of
// throw-away identities; when one of them ends there is room for one more.
func TestModernConnectionsFull(t *testing.T) {
	t.Parallel()
	rust := startRust(t, modern)
	crowd := connectCrowd(t, rust, modernInbound)
	us, err := refusedBeside(t, tari.Config{}, rust)
	checkRefusal(t, err)
	_ = crowd[0].Close()
	takenAgain(t, us, rust)
}

// connectCrowd connects n throw-away identities, as far as the muxer.
func connectCrowd(t *testing.T, rust *rustPeer, n int) []net.Conn {
	t.Helper()
	crowd, target := make([]net.Conn, n), tcpOf(t, rust.ready.Address)
	var all sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := range crowd {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			// The listener may still be busy with those before.
			for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
				c, err := stranger(t, target)
				if errors.Is(err, noise.ErrNoAnswer) && time.Now().Before(end) {
					continue
				}
				if err != nil {
					t.Errorf("stranger %d: %v", i, err)
				}
				crowd[i] = c
				return
			}
		})
	}
	all.Wait()
	t.Cleanup(func() {
		for _, c := range crowd {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return crowd
}

// stranger is one of them, or what became of it.
func stranger(t *testing.T, target string) (net.Conn, error) {
	sk, err := tarikey.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	raw, err := net.DialTimeout("tcp", target, patience)
	if err != nil {
		return nil, err
	}
	_ = raw.SetDeadline(time.Now().Add(patience))
	c, err := noise.Client(t.Context(), raw, noise.Config{Params: modernNoise, Static: sk, Preamble: []byte{mainnetByte}, StepTimeout: patience})
	if err == nil {
		_ = raw.SetDeadline(time.Now().Add(patience))
		_, err = c.Write(frame(0, encode(t, goodClaim(), sk, time.Now())))
	}
	if err == nil {
		_, err = readFrame(c)
	}
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return raw, nil
}

// TestLivenessFull: with as many liveness sessions as a Rust peer allows, the
// next is closed without an answer, which is wiremode.ErrNoEcho; when one ends
// there is room.
func TestLivenessFull(t *testing.T) {
	t.Parallel()
	bothEras(t, func(t *testing.T, e era, _ tari.Config) {
		first := map[era]byte{modern: wiremode.LivenessModern, seed: wiremode.LivenessSeed}[e]
		probe := func(rust *rustPeer) (net.Conn, error) {
			c := dialTCP(t, rust)
			return c, wiremode.Probe(patient(t), c, first, "are you there")
		}
		if _, err := probe(startRust(t, e)); !errors.Is(err, wiremode.ErrNoEcho) {
			t.Fatalf("a probe where none is allowed: %v", err)
		}
		rust := startRust(t, e, "--liveness-sessions", "2")
		var open []net.Conn
		for range 2 {
			c, err := probe(rust)
			if err != nil {
				t.Fatalf("a probe: %v", err)
			}
			open = append(open, c)
		}
		if _, err := probe(rust); !errors.Is(err, wiremode.ErrNoEcho) {
			t.Fatalf("a probe too many: %v", err)
		}
		if err := wiremode.Echo(patient(t), open[1], "still"); err != nil {
			t.Fatalf("a further line: %v", err)
		}
		_ = open[0].Close()
		waitUntil(t, "room for a probe", func() bool {
			_, err := probe(rust)
			return err == nil
		})
	})
}

// TestSeedHandshakesFull: with twenty handshakes under way the crate of 2020 lets
// the next wait in front of the door. Our dial ends after the time it gives a
// Noise message, says so, and the peer takes us when they are gone.
func TestSeedHandshakesFull(t *testing.T) {
	t.Parallel()
	rust := startRust(t, seed)
	us := startOurs(t, seedNet())
	h := hold(t, rust, seedByte, seedHandshakes)
	err := refused(t, us, rust)
	var stage *dialect.StageError
	if !errors.As(err, &stage) || stage.Stage != dialect.StageNoise {
		t.Fatalf("the error does not name the stage: %v", err)
	}
	var timeout net.Error
	if !errors.As(stage, &timeout) || !timeout.Timeout() {
		t.Fatalf("the error does not say that nobody answered in time: %v", err)
	}
	h.stop()
	takenAgain(t, us, rust)
}
