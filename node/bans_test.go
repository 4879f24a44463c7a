package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

func TestBanTime(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration // 0: refused
	}{
		{"1", time.Second},
		{"3600", time.Hour},
		{"0", peerbook.Forever},
		{"9223372036", 9223372036 * time.Second},
		{"9223372037", peerbook.Forever},
		{"9223372036854775807", peerbook.Forever},
		{"", 0},
		{"-1", 0},
		{"1h", 0},
		{"18446744073709551615", 0},
	} {
		if got, err := banTime(c.text); got != c.want || (err != nil) != (c.want == 0) {
			t.Errorf("%q is %v, %v; want %v", c.text, got, err, c.want)
		}
	}
}

func TestBanAndUnban(t *testing.T) {
	n := openNode(t)
	key := newKey(t)
	b, err := n.Ban(t.Context(), key.String(), time.Hour, "loud\x1b")
	if err != nil || b.Banned == nil || b.Banned.Reason != "loud " || b.NodeID != key.NodeID().String() || b.Closed != 0 {
		t.Fatalf("%+v, %v", b, err)
	}
	until := b.Banned.Until
	if b, err = n.Ban(t.Context(), key.String(), time.Minute, "shorter"); err != nil || !b.Banned.Until.Equal(until) || b.Banned.Reason != "loud " {
		t.Errorf("a shorter ban: %+v, %v", b, err)
	}
	list, err := n.ListBans(t.Context())
	if err != nil || len(list.Bans) != 1 || list.Bans[0].PublicKey != key.String() {
		t.Errorf("%+v, %v", list, err)
	}
	for _, was := range []bool{true, false} {
		u, err := n.Unban(t.Context(), key.String())
		if err != nil || u.WasBanned != was {
			t.Errorf("%+v, %v; want %v", u, err, was)
		}
	}
	if list, err = n.ListBans(t.Context()); err != nil || list.Bans == nil || len(list.Bans) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	for name, err := range map[string]error{
		"ourselves":   second(n.Ban(t.Context(), n.Identity.String(), time.Hour, "")),
		"no time":     second(n.Ban(t.Context(), key.String(), 0, "")),
		"not a peer":  second(n.Ban(t.Context(), "me", time.Hour, "")),
		"unban whom?": second(n.Unban(t.Context(), "!")),
	} {
		if failureKind(err) != FailUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// listening starts a node that listens on loopback; its events go to a channel that never blocks it.
func listening(t *testing.T, cfg Config) (*Node, chan Event) {
	t.Helper()
	events := make(chan Event, 1000)
	cfg.Listen, cfg.AllowTestAddresses = loopback(), true
	cfg.OnEvent = func(e Event) {
		e.Message = append([]byte(nil), e.Message...)
		select {
		case events <- e:
		default:
		}
	}
	return startNode(t, cfg), events
}

func addressOf(n *Node) string { return n.Identity.String() + "::" + n.Host.Addrs()[0].String() }

// await waits for an event.
func await(t *testing.T, events <-chan Event, kind EventKind) Event {
	t.Helper()
	return awaitAny(t, events, kind)
}

// awaitAny waits for an event of one of several kinds.
func awaitAny(t *testing.T, events <-chan Event, kinds ...EventKind) Event {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case e := <-events:
			if slices.Contains(kinds, e.Kind) {
				return e
			}
		case <-limit:
			t.Fatalf("no event %q", kinds)
		}
	}
}

// A ban ends the connection at once, holds against both ways to a new one, and ends with the unban.
func TestBanEndsConnections(t *testing.T) {
	us, ours := listening(t, Config{})
	remote, theirs := listening(t, Config{})
	if _, err := us.Send(t.Context(), addressOf(remote), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	await(t, ours, EventConnected)
	await(t, theirs, EventMessage)

	b, err := us.Ban(t.Context(), remote.Identity.String()[:20], time.Hour, "too friendly")
	if err != nil || b.Closed != 1 {
		t.Fatalf("%+v, %v", b, err)
	}
	if e := await(t, ours, EventBanned); e.Peer != remote.Identity.String() || e.Seconds != 3600 || e.Error != "too friendly" {
		t.Errorf("%+v", e)
	}
	await(t, theirs, EventDisconnected)
	if _, err := us.Send(t.Context(), addressOf(remote), []byte("again")); failureKind(err) != FailRefused {
		t.Errorf("we reach whom we banned: %v", err)
	}
	if _, err := remote.Send(t.Context(), addressOf(us), []byte("again")); failureKind(err) != FailRefused {
		t.Errorf("whom we banned reaches us: %v", err)
	}
	if _, err := us.Unban(t.Context(), remote.Identity.Key.Public().NodeID().String()); err != nil {
		t.Fatal(err)
	}
	await(t, ours, EventUnbanned)
	if _, err := us.Send(t.Context(), remote.Identity.String(), []byte("friends again")); err != nil {
		t.Error(err)
	}
	if e := await(t, theirs, EventMessage); !strings.HasPrefix(string(e.Message), "friends") {
		t.Errorf("got %q", e.Message)
	}
}
