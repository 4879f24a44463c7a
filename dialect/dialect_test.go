package dialect

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/memnet"
	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// someone returns a side of a handshake with a fresh key and a claim of one protocol.
func someone(t *testing.T, id protocol.ID) Local {
	t.Helper()
	key, err := tarikey.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	claim := &identityproto.Claim{
		Key: key.Public(), Features: identityproto.FeatureNode, Protocols: []protocol.ID{id}, UserAgent: "test/1",
		Addresses: []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/18189")},
	}
	if err := claim.Sign(key, time.Now()); err != nil {
		t.Fatal(err)
	}
	return Local{Key: key, Claim: func() (*identityproto.Claim, error) { return claim, nil }}
}

type outcome struct {
	session *Session
	err     error
}

// meet runs both sides of a handshake over the two ends of a connection, and closes an end whose side failed, as an upgrader does.
func meet(n Network, client, server net.Conn, us, them Local) (c, s outcome) {
	var both sync.WaitGroup
	both.Go(func() {
		c.session, c.err = Of(n).Upgrade(context.Background(), client, network.DirOutbound, us)
		if c.err != nil {
			client.Close()
		}
	})
	both.Go(func() {
		var first [1]byte
		if _, s.err = io.ReadFull(server, first[:]); s.err == nil && first[0] != n.WireByte {
			s.err = errors.New("not our byte")
		}
		if s.err == nil {
			s.session, s.err = Of(n).Upgrade(context.Background(), server, network.DirInbound, them)
		}
		if s.err != nil {
			server.Close()
		}
	})
	both.Wait()
	return c, s
}

// part ends both sides at the same time, as each waits for the other.
func part(sides ...outcome) {
	var all sync.WaitGroup
	for _, o := range sides {
		if o.session != nil {
			all.Go(func() { o.session.Close() })
		}
	}
	all.Wait()
}

func inEach(t *testing.T, test func(t *testing.T, n Network)) {
	for _, name := range []string{"mainnet", "stibbons"} {
		n, err := NetworkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(Of(n).String(), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test(t, n) }) })
	}
}

func TestTwoSidesMeet(t *testing.T) {
	inEach(t, func(t *testing.T, n Network) {
		a, b := memnet.Pipe()
		us, them := someone(t, "/a"), someone(t, "/b")
		us.Expect = them.Key.Public()
		var traced []string
		us.Trace = func(s StageTime) { traced = append(traced, s.Stage) }
		var admitted atomic.Int32
		admit := func(remote tarikey.PublicKey) (network.PeerScope, error) { admitted.Add(1); return nil, nil }
		us.Admit, them.Admit = admit, admit
		c, s := meet(n, a, b, us, them)
		if c.err != nil || s.err != nil {
			t.Fatalf("client: %v; server: %v", c.err, s.err)
		}
		defer part(c, s)
		if c.session.Remote != them.Key.Public() || s.session.Remote != us.Key.Public() || admitted.Load() != 2 {
			t.Errorf("keys or admission: %v, %v, %d", c.session.Remote, s.session.Remote, admitted.Load())
		}
		if !c.session.Claim.Supports("/b") || !s.session.Claim.Supports("/a") || c.session.Claim.Key != them.Key.Public() {
			t.Errorf("claims: %+v, %+v", c.session.Claim, s.session.Claim)
		}
		var stages []string
		for _, st := range c.session.Stages {
			stages = append(stages, st.Stage)
		}
		if !slices.Equal(stages, traced) || len(stages) != 4 || stages[0] != StageNoise {
			t.Errorf("stages %v, traced %v", stages, traced)
		}
		// What the peer opens first is ours to accept: nothing of the handshake is left on the muxer.
		st, err := c.session.OpenStream(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		st.Write([]byte("first"))
		st.CloseWrite()
		in, err := s.session.AcceptStream()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(in); err != nil || string(got) != "first" {
			t.Errorf("read %q, %v", got, err)
		}
		in.Close()
		st.Close()
	})
}

type oneByteConn struct {
	net.Conn
	r io.Reader
}

func (c oneByteConn) Read(p []byte) (int, error) { return c.r.Read(p) }

func TestBytesThatComeOneByOne(t *testing.T) {
	inEach(t, func(t *testing.T, n Network) {
		a, b := memnet.Pipe()
		slow := func(c net.Conn) net.Conn { return oneByteConn{c, iotest.OneByteReader(c)} }
		c, s := meet(n, slow(a), slow(b), someone(t, "/a"), someone(t, "/b"))
		if c.err != nil || s.err != nil {
			t.Fatalf("client: %v; server: %v", c.err, s.err)
		}
		part(c, s)
	})
}

// countConn counts what is written, and flips one byte of it.
type countConn struct {
	net.Conn
	flip    int // index of the byte to flip; -1: none
	written int
	last    int // where the last write began
}

func (c *countConn) Write(p []byte) (int, error) {
	at := c.flip - c.written
	c.last = c.written
	c.written += len(p)
	if at >= 0 && at < len(p) {
		p = slices.Clone(p)
		p[at] ^= 0x40
	}
	return c.Conn.Write(p)
}

// No byte of a handshake can be changed on its way without both sides, or the one that reads it, refusing the other.
func TestEveryByteCounts(t *testing.T) {
	inEach(t, func(t *testing.T, n Network) {
		for _, side := range []string{"client", "server"} {
			total := 1
			for flip := -1; flip < total; flip++ {
				a, b := memnet.Pipe()
				tampered := &countConn{Conn: a, flip: flip}
				var c, s outcome
				us, them := someone(t, "/a"), someone(t, "/b")
				if side == "client" {
					c, s = meet(n, tampered, b, us, them)
				} else {
					tampered.Conn = b
					c, s = meet(n, a, tampered, us, them)
				}
				synctest.Wait()
				// How many frames of the muxer are in one of Noise, and so how many bytes there are, differs from time to time.
				total = max(total, tampered.written)
				reader := map[string]error{"client": s.err, "server": c.err}[side]
				switch {
				case flip < 0:
					if c.err != nil || s.err != nil {
						t.Fatalf("%s: %v, %v", side, c.err, s.err)
					}
					t.Logf("%s writes %d bytes", side, tampered.written)
				case flip >= tampered.written:
				case flip >= tampered.last && Of(n).String() == "seed": // the end of a half of the identity substream: nobody waits for it
				case reader == nil:
					t.Errorf("byte %d from the %s was changed, and nobody minded", flip, side)
				}
				part(c, s)
				a.Close()
				b.Close()
			}
		}
	})
}

func TestAnotherKeyThanExpected(t *testing.T) {
	inEach(t, func(t *testing.T, n Network) {
		a, b := memnet.Pipe()
		us, them := someone(t, "/a"), someone(t, "/b")
		us.Expect = us.Key.Public()
		c, s := meet(n, a, b, us, them)
		var mismatch *KeyMismatchError
		if !errors.As(c.err, &mismatch) || mismatch.Got != them.Key.Public() {
			t.Errorf("client: %v", c.err)
		}
		if s.err == nil {
			t.Error("the server is content")
		}
		part(s)
	})
}

// Who is not admitted learns nothing about us but our key.
func TestNotAdmitted(t *testing.T) {
	inEach(t, func(t *testing.T, n Network) {
		a, b := memnet.Pipe()
		us, them := someone(t, "/a"), someone(t, "/b")
		banned := errors.New("banned")
		them.Admit = func(tarikey.PublicKey) (network.PeerScope, error) { return nil, banned }
		them.Claim = func() (*identityproto.Claim, error) { t.Error("the claim was asked for"); return nil, banned }
		counted := &countConn{Conn: b, flip: -1}
		c, s := meet(n, a, counted, us, them)
		var at *StageError
		if !errors.As(s.err, &at) || at.Stage != StageAdmit || !errors.Is(s.err, banned) {
			t.Errorf("server: %v", s.err)
		}
		if c.err == nil {
			t.Error("the client is content")
		}
		if counted.written != 98 { // the one Noise message of the responder: 2 + 96
			t.Errorf("%d bytes were sent", counted.written)
		}
	})
}

func TestAPeerOfTheOtherDialect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		c, s := meetAs(t, Mainnet, "stibbons", a, b)
		if !errors.Is(c.err, noise.ErrNoAnswer) || s.err == nil {
			t.Errorf("client: %v; server: %v", c.err, s.err)
		}
	})
}

func meetAs(t *testing.T, n Network, serverSpeaks string, a, b net.Conn) (c, s outcome) {
	other, err := NetworkByName(serverSpeaks)
	if err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Go(func() {
		c.session, c.err = Of(n).Upgrade(context.Background(), a, network.DirOutbound, someone(t, "/a"))
		a.Close()
	})
	both.Go(func() {
		var first [1]byte
		io.ReadFull(b, first[:])
		s.session, s.err = Of(other).Upgrade(context.Background(), b, network.DirInbound, someone(t, "/b"))
		b.Close()
	})
	both.Wait()
	return c, s
}

func TestStageErrorNamesTheStageOnce(t *testing.T) {
	for cause, want := range map[string]string{
		"noise: no": "noise: no", "no": "noise: no", "noisey": "noise: noisey",
	} {
		if got := (&StageError{Stage: StageNoise, Err: errors.New(cause)}).Error(); got != want {
			t.Errorf("%q is %q, want %q", cause, got, want)
		}
	}
}
