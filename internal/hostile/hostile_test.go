package hostile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/memnet"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// linkLimit is when a connection that says nothing more must be gone: two rounds of keep-alive and a write's limit, of virtual time.
const linkLimit = 2 * time.Minute

// closeLimit is what a multiplexer takes to say goodbye to a peer that does not answer.
const closeLimit = 2 * time.Second

var networks = []dialect.Network{dialect.Esmeralda, dialect.Stibbons}

func key(t *testing.T, n byte) tarikey.SecretKey {
	t.Helper()
	sk, err := tarikey.ParseSecretKey(append([]byte{n}, make([]byte, 31)...))
	if err != nil {
		t.Fatal(err)
	}
	return sk
}

// local is a stranger's side of a handshake.
func local(t *testing.T, sk tarikey.SecretKey) dialect.Local {
	t.Helper()
	claim := &identityproto.Claim{
		Key: sk.Public(), Features: identityproto.FeatureNode, UserAgent: "stranger/1",
		Addresses: []ma.Multiaddr{ma.StringCast("/memory/1")},
	}
	if err := claim.Sign(sk, time.Now()); err != nil {
		t.Fatal(err)
	}
	return dialect.Local{
		Key: sk, Claim: func() (*identityproto.Claim, error) { return claim, nil },
		Rules: identityproto.Rules{AllowTestAddresses: true},
	}
}

// victim is the host under attack, and what its hooks were told since the last look.
type victim struct {
	*tari.Host
	mu       sync.Mutex
	failed   []error
	offences []time.Duration
}

func start(t *testing.T, n dialect.Network, sk tarikey.SecretKey) *victim {
	t.Helper()
	v := new(victim)
	v.Host = startWith(t, n, sk, tari.Hooks{
		OnFailed: func(_ peer.ID, _ network.Direction, _ ma.Multiaddr, err error) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.failed = append(v.failed, err)
		},
		OnOffence: func(_ peer.ID, d time.Duration, _ error) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.offences = append(v.offences, d)
		},
	}).Host
	return v
}

func startWith(t *testing.T, n dialect.Network, sk tarikey.SecretKey, hooks tari.Hooks) *victim {
	t.Helper()
	h, err := tari.New(tari.Config{
		Key: sk, Network: n, AllowTestAddresses: true, Listen: []ma.Multiaddr{ma.StringCast("/memory/0")}, Hooks: hooks,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &victim{Host: h}
}

// look returns what the hooks heard, and forgets it.
func (v *victim) look() (failed []error, offences []time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	failed, offences = v.failed, v.offences
	v.failed, v.offences = nil, nil
	return failed, offences
}

func (v *victim) info() peer.AddrInfo { return peer.AddrInfo{ID: v.ID(), Addrs: v.Addrs()} }

func messages(t *testing.T, v *victim) (*messagingproto.Service, <-chan string) {
	t.Helper()
	s, err := messagingproto.New(v.Host, messagingproto.Config{OnViolation: v.Offence})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	got := make(chan string, 1024)
	s.Handle(func(_ context.Context, _ peer.ID, m []byte) { got <- string(m) })
	return s, got
}

// An edit changes what the stranger sends, by the offset in all that it sends.
type edit struct {
	name string
	at   int
	with func([]byte) []byte // applied to what is at and after the offset; nil: nothing more is sent
}

// tampered is the stranger's connection: it never closes, so that ending it is up to the victim.
type tampered struct {
	*memnet.Conn
	edit   *edit
	mu     sync.Mutex
	sent   int
	writes []int // the offset of each write
}

func (c *tampered) Close() error { return nil }

func (c *tampered) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out, from := p, c.sent
	c.writes = append(c.writes, from)
	c.sent += len(p)
	if e := c.edit; e != nil {
		i := e.at - from
		switch {
		case e.with == nil:
			out = p[:max(0, min(i, len(p)))]
		case i >= 0 && i < len(p):
			out = append(bytes.Clone(p[:i]), e.with(bytes.Clone(p[i:]))...)
		}
	}
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

func cut(at int) edit { return edit{fmt.Sprintf("cut at %d", at), at, nil} }

func flip(at, bit int) edit {
	return edit{fmt.Sprintf("byte %d, bit %d", at, bit), at, func(p []byte) []byte { p[0] ^= 1 << bit; return p }}
}

func overwrite(at int, with []byte) edit {
	return edit{fmt.Sprintf("%x at %d", with, at), at, func(p []byte) []byte { copy(p, with); return p }}
}

// attack holds one dialogue with the victim, edited: handshake, a messaging stream, one message. It returns the stranger's
// connection when the victim has ended it, and after how long that was.
func attack(t *testing.T, n dialect.Network, v *victim, sk tarikey.SecretKey, e *edit) (*tampered, time.Duration) {
	t.Helper()
	raw, err := memnet.Dial(t.Context(), v.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	c := &tampered{Conn: raw, edit: e}
	began := time.Now()
	session, err := dialect.Of(n).Upgrade(context.Background(), c, network.DirOutbound, local(t, sk))
	if err == nil {
		if s, err := session.OpenStream(context.Background()); err == nil {
			_ = s.SetDeadline(time.Now().Add(linkLimit))
			id := tariproto.Messaging
			if dialect.Of(n).String() == "seed" {
				id = tariproto.MessagingSeed
			}
			if hello, err := tariproto.AppendOptimistic(nil, id); err == nil {
				_, _ = s.Write(hello)
				_ = tariproto.WriteFrame(s, []byte("a message"))
			}
			synctest.Wait()
			_ = s.Reset()
		}
		if e == nil {
			synctest.Wait()
			_ = session.Close()
			_ = raw.Close()
			return c, time.Since(began)
		}
		_, _ = session.AcceptStream() // until the victim ends it
		_ = session.Close()
	}
	_, _ = io.Copy(io.Discard, raw)
	took := time.Since(began)
	_ = raw.Close()
	synctest.Wait()
	return c, took
}

// healthy is an ordinary peer after an attack: it comes, and is heard.
func healthy(t *testing.T, n dialect.Network, v *victim, got <-chan string) {
	t.Helper()
	p := start(t, n, key(t, 7))
	s, _ := messages(t, p)
	if err := p.Connect(t.Context(), v.info()); err != nil {
		t.Fatalf("after the attack: %v", err)
	}
	if err := s.Send(t.Context(), v.ID(), []byte("still there?")); err != nil {
		t.Fatalf("after the attack: %v", err)
	}
	for m := range got {
		if m == "still there?" {
			break
		}
	}
	_ = p.Host.Close()
}

// Every byte at which a dialogue can be cut, bits of each byte, and lengths that lie where each write begins.
func TestATamperedDialogue(t *testing.T) {
	for _, n := range networks {
		t.Run(n.Name, func(t *testing.T) {
			var clean *tampered
			var lasted time.Duration
			synctest.Test(t, func(t *testing.T) {
				v := start(t, n, key(t, 1))
				messages(t, v)
				clean, lasted = attack(t, n, v, key(t, 2), nil)
				if failed, offences := v.look(); len(failed)+len(offences) > 0 {
					t.Fatalf("the dialogue is not valid: %v, %v", failed, offences)
				}
			})
			var edits []edit
			for at := range clean.sent {
				edits = append(edits, cut(at))
				for bit := range bitsFlipped {
					edits = append(edits, flip(at, (at+bit)%8))
				}
			}
			for _, at := range clean.writes {
				for _, with := range [][]byte{{0, 0, 0, 0}, {0, 1}, {0xff, 0xff}, {0xff, 0xff, 0xff, 0xff}, {0, 0x80, 0, 1}} {
					edits = append(edits, overwrite(at, with))
				}
			}
			t.Logf("%d cases on %d bytes in %d writes", len(edits), clean.sent, len(clean.writes))
			const group = 100
			for from := 0; from < len(edits); from += group {
				part := edits[from:min(from+group, len(edits))]
				t.Run(fmt.Sprint(from), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { attackAll(t, n, part, lasted) })
				})
			}
		})
	}
}

// attackAll holds a dialogue for each edit. The valid one lasted that long: a byte of it may be said late, and spoilt late.
func attackAll(t *testing.T, n dialect.Network, edits []edit, lasted time.Duration) {
	v := start(t, n, key(t, 1))
	_, got := messages(t, v)
	for _, e := range edits {
		_, took := attack(t, n, v, key(t, 2), &e)
		failed, offences := v.look()
		limit := lasted + linkLimit
		if len(failed) > 0 {
			limit = dialect.Budget + closeLimit
		}
		if took > limit {
			t.Errorf("%s: ended after %v", e.name, took)
		}
		if len(v.Network().Peers()) > 0 {
			t.Errorf("%s: still connected", e.name)
		}
		for _, err := range failed {
			var at *dialect.StageError
			if !errors.As(err, &at) {
				t.Errorf("%s: no stage in %v", e.name, err)
				continue
			}
			switch {
			case at.Stage == dialect.StageWire && e.at > 0, at.Stage != dialect.StageWire && e.at == 0 && len(offences) > 0:
				t.Errorf("%s: stage %s", e.name, at.Stage)
			case at.Stage != dialect.StageIdentity && len(offences) > 0:
				t.Errorf("%s: a ban of %v at stage %s, where no key is proven", e.name, offences, at.Stage)
			}
		}
	}
	healthy(t, n, v, got)
}
