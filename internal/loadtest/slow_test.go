//go:build linux

package loadtest

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/memnet"
)

// How long a stranger has, as tari_comms has it.
const (
	firstByte = 6 * time.Second
	budget    = dialect.Budget
)

// slow are the ways not to get on, and when each ends at the latest. Seeds exchange identities inside the multiplexer, which has two
// seconds to say goodbye.
var slow = map[string]time.Duration{"silent": firstByte, "drip": budget, "cut": budget, "nameless": budget + 2*time.Second}

// Strangers of each kind are gone when their time is over, to the second of the fake clock, and while they are there everybody else
// gets in.
func TestSlowStrangers(t *testing.T) {
	const each = 50
	for _, n := range networks {
		for kind, limit := range slow {
			t.Run(n.Name+", "+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := start(t, tari.Config{Network: n, Listen: inMemory, Limits: tari.Limits{Handshakes: each + 1}})
					w := &worker{job: job{Kind: kind}, network: n}
					var strangers sync.WaitGroup
					began := time.Now()
					for i := range each {
						c, err := memnet.Dial(t.Context(), h.Addrs()[0])
						if err != nil {
							t.Fatal(err)
						}
						strangers.Go(func() {
							ctx, cancel := context.WithTimeout(context.Background(), patience)
							defer cancel()
							w.stuck(ctx, c, i)
							c.Close()
							if took := time.Since(began); took > limit || took < firstByte {
								t.Errorf("stranger %d was closed after %v", i, took)
							}
						})
					}
					gone := make(chan struct{})
					go func() { strangers.Wait(); close(gone) }()
					honest := 0
					for there := true; there; honest++ {
						meetAndPart(t, n, h, 1000+honest)
						select {
						case <-gone:
							there = false
						case <-time.After(time.Second):
						}
					}
					if honest < 6 {
						t.Errorf("only %d others came while they were there", honest)
					}
					synctest.Wait()
					if r := h.Refusals(); len(r) != 0 {
						t.Errorf("refused: %v", r)
					}
				})
			})
		}
	}
}

// meetAndPart is a peer that connects, says a word and leaves.
func meetAndPart(t *testing.T, n dialect.Network, h *tari.Host, i int) {
	t.Helper()
	c, err := memnet.Dial(t.Context(), h.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	s, err := dialect.Of(n).Upgrade(ctx, c, network.DirOutbound, stranger(t, i))
	if err != nil {
		t.Errorf("an honest peer: %v", err)
		return
	}
	if err := echoOnce(ctx, s); err != nil || time.Since(began) != 0 {
		t.Errorf("an honest peer's word: %v, after %v", err, time.Since(began))
	}
	s.Close()
}

// From sources that hold all places there are, and try for more, nobody else is shut out: each newcomer takes one of theirs.
func TestSlowStrangersTakeAllPlaces(t *testing.T) {
	h := start(t, tari.Config{Listen: loopback, Limits: counted(tari.Limits{})})
	w := &worker{job: job{Net: 1, Sources: 32}, network: dialect.Esmeralda, host: hostPort(h.Addrs()[0])}
	ctx, cancel := context.WithCancel(context.Background())
	var strangers sync.WaitGroup
	defer strangers.Wait()
	defer cancel()
	for i := range 32 * 4 {
		strangers.Go(func() {
			for ctx.Err() == nil {
				if c, err := dialFrom(ctx, w.source(i), w.host); err == nil {
					stop := context.AfterFunc(ctx, func() { c.Close() })
					_, _ = io.Copy(io.Discard, c)
					stop()
					c.Close()
				}
				time.Sleep(10 * time.Millisecond) // leave some of the processor to the others
			}
		})
	}
	eventually(t, "the house is full", func() bool { return h.Refusals()[tari.RefusedHandshakes] > 0 })
	others := &worker{job: job{Net: 2, Sources: 250}, network: dialect.Esmeralda, host: w.host}
	for i := range 10 {
		if err := others.dialOnce(1000 + i); err != nil {
			t.Errorf("honest dial %d: %v", i, err)
		}
	}
	r := h.Refusals()
	for reason := range r {
		if reason != tari.RefusedHandshakes && reason != tari.RefusedDisplaced && reason != tari.RefusedHandshakesPerSource {
			t.Errorf("refused: %v", r)
		}
	}
	t.Logf("refused: %v", r)
}

// TestSlowStrangersLong is 2,000 of each kind at once, with limits to hold them, and then a minute of them with the usual limits.
func TestSlowStrangersLong(t *testing.T) {
	if !long {
		t.Skip("three minutes: set TARI_LIBP2P_LONG=1")
	}
	const many = 2000
	for _, c := range []struct {
		kind   string
		target string
		ends   time.Duration
	}{
		{"silent", "≤ 8 KiB", firstByte},
		{"drip", "≤ 24 KiB", budget},
		{"cut", "≤ 24 KiB", budget},
		{"nameless", "≤ 24 KiB", budget},
	} {
		t.Run(c.kind, func(t *testing.T) {
			limits := counted(tari.Limits{Inbound: many + 100, Handshakes: many + 100, HandshakesPerSource: many, InboundPerSource: many})
			h := start(t, tari.Config{Listen: loopback, Limits: limits})
			dialing := spawn(t, h, job{Role: "honest", Net: 2, Sources: 250, Pause: 100})
			dialing.expect("dialing")
			before := settled(t)
			strangers := spawn(t, h, job{Role: "stall", Kind: c.kind, Net: 1, Sources: 250, Count: many})
			strangers.expect("stalled")
			time.Sleep(2 * time.Second) // a rough measure: until most of them are where they stop
			perOne := (settled(t) - before) / many
			closed := strangers.expect("closed")
			others := dialing.ask("end", "dialed")
			row(fmt.Sprintf("%d strangers at once, %s: memory each", many, c.kind), c.target, inKiB(perOne))
			row(fmt.Sprintf("%d strangers at once, %s: closed after", many, c.kind), fmt.Sprintf("≤ %v", c.ends+time.Second),
				fmt.Sprintf("%.1f to %.1f s", closed["first"], closed["last"]))
			row(fmt.Sprintf("%d strangers at once, %s: honest dials", many, c.kind), "all, < 1 s",
				fmt.Sprintf("%.0f of %.0f, the slowest %.0f ms", others["good"], others["dials"], 1000*others["max"]))
			strangers.end()
			dialing.end()
			if r := h.Refusals(); len(r) > 0 {
				t.Errorf("refused: %v", r)
			}
		})
	}
}
