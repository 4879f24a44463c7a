package hostile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/memnet"
)

// A claim that another key signed, and the valid claim of somebody else, said by a peer that proved its own key.
func TestSpoofedClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := dialect.Esmeralda // claims are signed in this dialect
		v := start(t, n, key(t, 1))
		_, got := messages(t, v)
		other := key(t, 3)
		for name, forge := range map[string]func(*identityproto.Claim){
			"signed by another key": func(c *identityproto.Claim) {
				mine := *c
				if err := c.Sign(other, time.Now()); err == nil { // the signature of another over our own words
					mine.Signature = c.Signature
				}
				*c = mine
			},
			"the claim of another": func(c *identityproto.Claim) { c.Signature = must(t, local(t, other)).Signature },
		} {
			us := local(t, key(t, 2))
			forged := *must(t, us)
			forge(&forged)
			us.Claim = func() (*identityproto.Claim, error) { return &forged, nil }
			c, err := memnet.Dial(t.Context(), v.Addrs()[0])
			if err != nil {
				t.Fatal(err)
			}
			if s, err := dialect.Of(n).Upgrade(t.Context(), c, network.DirOutbound, us); err == nil {
				_, _ = s.AcceptStream()
				_ = s.Close()
			}
			_ = c.Close()
			synctest.Wait()
			failed, offences := v.look()
			var at *dialect.StageError
			if len(failed) != 1 || !errors.As(failed[0], &at) || at.Stage != dialect.StageIdentity || len(offences) != 1 {
				t.Errorf("%s: failed %v, offences %v", name, failed, offences)
			}
		}
		healthy(t, n, v, got)
	})
}

func must(t *testing.T, us dialect.Local) *identityproto.Claim {
	t.Helper()
	c, err := us.Claim()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Who dials one key and finds another, or itself, gets a typed error; nobody is blamed.
func TestAnotherKeyAnswers(t *testing.T) {
	for _, n := range networks {
		synctest.Test(t, func(t *testing.T) {
			a, b := start(t, n, key(t, 1)), start(t, n, key(t, 2))
			absent := start(t, n, key(t, 3))
			var mismatch *dialect.KeyMismatchError
			err := a.Connect(t.Context(), peer.AddrInfo{ID: absent.ID(), Addrs: b.Addrs()})
			if !errors.As(err, &mismatch) || mismatch.Got != b.PublicKey() || mismatch.Expected != absent.PublicKey() {
				t.Errorf("%s: dialed one, answered another: %v", n, err)
			}
			err = a.Connect(t.Context(), peer.AddrInfo{ID: absent.ID(), Addrs: a.Addrs()})
			if err == nil {
				t.Errorf("%s: connected to ourselves", n)
			}
			synctest.Wait()
			if _, offences := a.look(); len(offences) > 0 {
				t.Errorf("%s: offences %v", n, offences)
			}
		})
	}
}

// A dialect is chosen by who dials, and no failure changes it: both sides say what went wrong.
func TestNoOtherDialect(t *testing.T) {
	for i, n := range networks {
		synctest.Test(t, func(t *testing.T) {
			other := networks[1-i]
			a, b := start(t, n, key(t, 1)), start(t, other, key(t, 2))
			err := a.Connect(t.Context(), b.info())
			if err == nil || !strings.Contains(err.Error(), "closed before Noise answered: other network or dialect, or refused") {
				t.Errorf("%s to %s: %v", n, other, err)
			}
			synctest.Wait()
			failed, offences := b.look()
			if len(failed) != 1 || len(offences) > 0 || !strings.Contains(failed[0].Error(), fmt.Sprintf("0x%02x", n.WireByte)) {
				t.Errorf("%s to %s: the listener says %v, %v", n, other, failed, offences)
			}
		})
	}
}

// Two hosts that dial each other at once, and both send: every message arrives once, and one connection is left, the same for both.
func TestSimultaneousDials(t *testing.T) {
	const each = 5
	rounds := 200
	if os.Getenv("TARI_LIBP2P_LONG") != "" {
		rounds = 1000
	}
	for _, n := range networks {
		t.Run(n.Name, func(t *testing.T) {
			t.Parallel()
			for range rounds {
				synctest.Test(t, func(t *testing.T) { dialAtOnce(t, n, each) })
			}
			if t.Failed() {
				return
			}
			t.Logf("row: two of our hosts (%s) dial and send at the same moment | each message once, one connection left | %d rounds", n.Name, rounds)
		})
	}
}

func dialAtOnce(t *testing.T, n dialect.Network, each int) {
	a, b := start(t, n, key(t, 1)), start(t, n, key(t, 2))
	if b.PublicKey().NodeID().Compare(a.PublicKey().NodeID()) < 0 {
		a, b = b, a
	}
	sa, gotA := messages(t, a)
	sb, gotB := messages(t, b)
	var done sync.WaitGroup
	for _, dir := range []struct {
		from, to *victim
		send     func(context.Context, peer.ID, []byte) error
	}{{a, b, sa.Send}, {b, a, sb.Send}} {
		done.Go(func() {
			if err := dir.from.Connect(t.Context(), dir.to.info()); err != nil {
				t.Errorf("connect: %v", err)
			}
			for i := range each {
				if err := dir.send(t.Context(), dir.to.ID(), fmt.Append(nil, i)); err != nil {
					t.Errorf("send: %v", err)
				}
			}
		})
	}
	done.Wait()
	time.Sleep(linkLimit)
	synctest.Wait()
	for name, got := range map[string]<-chan string{"lower": gotA, "higher": gotB} {
		count := map[string]int{}
		for len(got) > 0 {
			count[<-got]++
		}
		for i := range each {
			if count[fmt.Sprint(i)] != 1 {
				t.Errorf("the %s got message %d %d times", name, i, count[fmt.Sprint(i)])
			}
		}
	}
	ca, cb := a.Network().ConnsToPeer(b.ID()), b.Network().ConnsToPeer(a.ID())
	// Which one it is depends on whether there was a tie at all; package tari tests that.
	if len(ca) != 1 || len(cb) != 1 || ca[0].Stat().Direction == cb[0].Stat().Direction {
		t.Errorf("left: %v and %v", ca, cb)
	}
}

// A link on which nobody says a word for half an hour, longer than a messaging stream lives, carries the next message.
func TestAnIdleLink(t *testing.T) {
	for _, n := range networks {
		synctest.Test(t, func(t *testing.T) {
			a, b := start(t, n, key(t, 1)), start(t, n, key(t, 2))
			sa, _ := messages(t, a)
			_, got := messages(t, b)
			if err := a.Connect(t.Context(), b.info()); err != nil {
				t.Fatal(err)
			}
			conn := a.Network().ConnsToPeer(b.ID())[0]
			for _, text := range []string{"before", "after"} {
				if err := sa.Send(t.Context(), b.ID(), []byte(text)); err != nil {
					t.Fatal(err)
				}
				if m := <-got; m != text {
					t.Errorf("%s: got %q", n, m)
				}
				time.Sleep(30 * time.Minute)
			}
			if now := a.Network().ConnsToPeer(b.ID()); len(now) != 1 || now[0] != conn {
				t.Errorf("%s: another connection: %v", n, now)
			}
		})
	}
}
