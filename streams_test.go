package tari

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"
)

func TestAProtocolThatThePeerDoesNotKnow(t *testing.T) {
	a, b := startHost(t, Config{}), startHost(t, Config{})
	connect(t, a, b)
	_, err := a.NewStream(testContext(t), b.ID(), "/test/unknown/1", "/test/unknown/2")
	var unsupported multistream.ErrNotSupported[protocol.ID]
	if !errors.As(err, &unsupported) || len(unsupported.Protos) != 2 {
		t.Errorf("got %v, want ErrNotSupported", err)
	}
	// One of several is enough, and the order is ours.
	b.SetStreamHandler("/test/late", serveEcho)
	s, err := a.NewStream(testContext(t), b.ID(), "/test/unknown/1", "/test/late", echo)
	if err != nil || s.Protocol() != echo { // the claim lists echo, so nothing is asked
		t.Fatalf("got %v, %v", s, err)
	}
	s.Reset()
	s, err = a.NewStream(testContext(t), b.ID(), "/test/unknown/1", "/test/late")
	if err != nil || s.Protocol() != "/test/late" {
		t.Fatalf("got %v, %v", s, err)
	}
	s.Close()
	// Taken for granted and refused all the same: the first read shows it.
	b.RemoveStreamHandler(echo)
	s, err = a.NewStream(testContext(t), b.ID(), echo)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("read from a refused stream: %v", err)
	}
	s.Close()
}

func TestMatchedProtocolsAreNegotiated(t *testing.T) {
	a, b := startHost(t, Config{}), startHost(t, Config{})
	got := make(chan protocol.ID, 1)
	b.SetStreamHandlerMatch("/test/any", func(id protocol.ID) bool { return strings.HasPrefix(string(id), "/test/v") },
		func(s network.Stream) { got <- s.Protocol(); s.Close() })
	connect(t, a, b)
	s, err := a.NewStream(testContext(t), b.ID(), "/test/v7")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if id := <-got; id != "/test/v7" {
		t.Errorf("handled as %s", id)
	}
	if claim, _ := a.Claim(b.ID()); len(claim.Protocols) != 1 {
		t.Errorf("claim lists %v", claim.Protocols)
	}
}

// Of two handlers of one protocol the later serves, and the claim lists it once.
func TestAHandlerIsReplaced(t *testing.T) {
	a, b := startHost(t, Config{}), startHost(t, Config{})
	b.SetStreamHandler(echo, func(s network.Stream) {
		io.WriteString(s, "another")
		s.Close()
	})
	connect(t, a, b)
	s, err := a.NewStream(testContext(t), b.ID(), echo)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := io.ReadAll(s); err != nil || string(got) != "another" {
		t.Errorf("read %q, %v", got, err)
	}
	if claim, _ := a.Claim(b.ID()); len(claim.Protocols) != 1 {
		t.Errorf("claim lists %v", claim.Protocols)
	}
}

// The name of an optimistic protocol travels with the first bytes, whatever they are, and before anything else that shows.
func TestOptimisticStreams(t *testing.T) {
	a, b := startHost(t, Config{}), startHost(t, Config{})
	b.SetStreamHandler("/test/speaks-first", func(s network.Stream) {
		io.WriteString(s, "hello")
		s.Close()
	})
	b.SetStreamHandler("/test/count", func(s network.Stream) {
		n, _ := io.Copy(io.Discard, s)
		fmt.Fprint(s, n)
		s.Close()
	})
	connect(t, a, b)
	ctx := testContext(t)

	s, err := a.NewStream(ctx, b.ID(), "/test/speaks-first")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); err != nil || string(got) != "hello" {
		t.Errorf("read %q, %v", got, err)
	}
	s.Close()

	for _, size := range []int{0, 1, joined, joined + 1, 1 << 20} {
		s, err := a.NewStream(ctx, b.ID(), "/test/count")
		if err != nil {
			t.Fatal(err)
		}
		if size > 0 {
			if n, err := s.Write(bytes.Repeat([]byte{7}, size)); n != size || err != nil {
				t.Errorf("wrote %d of %d, %v", n, size, err)
			}
		}
		s.CloseWrite()
		if got, err := io.ReadAll(s); err != nil || string(got) != fmt.Sprint(size) {
			t.Errorf("%d bytes arrived as %s, %v", size, got, err)
		}
		s.Close()
	}
}

// An undefined flag in a negotiation costs the connection, and whoever bans is told.
func TestAnOffenceInANegotiation(t *testing.T) {
	type offence struct {
		p   peer.ID
		ban time.Duration
	}
	offences := make(chan offence, 1)
	a := startHost(t, Config{})
	b := startHost(t, Config{Hooks: Hooks{OnOffence: func(p peer.ID, ban time.Duration, _ error) { offences <- offence{p, ban} }}})
	connect(t, a, b)
	s, err := a.NewStream(testContext(t), b.ID())
	if err != nil {
		t.Fatal(err)
	}
	s.Write([]byte{4, 0x80, 'n', 'o', 'p', 'e'})
	if got := <-offences; got.p != a.ID() || got.ban != 2*time.Hour {
		t.Errorf("offence %v", got)
	}
	eventually(t, "the connection is closed", func() bool {
		return len(a.Network().Peers())+len(b.Network().Peers()) == 0
	})
	b.Offence(a.ID(), errors.New("harmless"))
	if len(offences) > 0 {
		t.Error("an error without a ban is an offence")
	}
}

// A peer that does not finish the negotiation holds a goroutine for ten seconds, and nobody else up.
func TestNegotiationHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := startHost(t, Config{}), startHost(t, Config{})
		connect(t, a, b)
		slow, err := a.NewStream(context.Background(), b.ID())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		slow.Write([]byte{5, 0})
		synctest.Wait()
		say(t, a, b.ID(), "meanwhile")
		if _, err := slow.Read(make([]byte, 1)); err == nil || time.Since(start) != negotiation {
			t.Errorf("read %v after %v", err, time.Since(start))
		}
		slow.Close()

		b.SetStreamHandler("/test/late", serveEcho)
		c := startHost(t, Config{})
		connect(t, c, b)
		synctest.Wait() // the dialer is through a moment before the listener
		start = time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c.swarm.SetStreamHandler(func(s network.Stream) {}) // never answers
		if _, err := b.NewStream(ctx, c.ID(), "/test/late"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("negotiation ended with %v after %v", err, time.Since(start))
		}
		if _, err := b.NewStream(context.Background(), c.ID(), "/test/late"); err == nil || time.Since(start) != time.Second+negotiation {
			t.Errorf("negotiation ended with %v after %v", err, time.Since(start))
		}
	})
}
