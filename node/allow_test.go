package node

import (
	"slices"
	"testing"
	"time"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

func TestAllowList(t *testing.T) {
	events := make(chan Event, 100)
	n, err := Open(Config{OnEvent: func(e Event) { events <- e }})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx := t.Context()
	good, loud, shut := newKey(t), newKey(t), newKey(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(n.Peers.Ban(loud.PeerID(), time.Hour, "loud"))
	must(second(n.Ban(ctx, shut.String(), time.Hour, "by hand")))
	await(t, events, EventBanned)

	if _, err := n.Allow(ctx, good.String(), loud.String(), "nobody"); failureKind(err) != FailUsage {
		t.Errorf("a name that is none: %v", err)
	}
	if _, err := n.Allow(ctx, good.String(), n.Identity.String()); failureKind(err) != FailUsage {
		t.Errorf("ourselves: %v", err)
	}
	if list, err := n.ListAllowed(ctx); err != nil || list.Peers == nil || len(list.Peers) != 0 {
		t.Errorf("after names that are not good: %+v, %v", list, err)
	}

	done, err := n.Allow(ctx, good.String(), loud.String(), shut.NodeID().String()[:12])
	must(err)
	if len(done.Peers) != 3 {
		t.Fatalf("%+v", done)
	}
	for i, want := range []struct{ wasBanned, banned bool }{{false, false}, {true, false}, {true, true}} {
		if c := done.Peers[i]; !c.Allowed || c.WasAllowed || c.WasBanned != want.wasBanned || (c.Banned != nil) != want.banned {
			t.Errorf("peer %d: %+v", i, c)
		}
	}
	if done.Peers[0].PublicKey != good.String() || done.Peers[2].NodeID != shut.NodeID().String() {
		t.Errorf("%+v", done)
	}
	if e := await(t, events, EventUnbanned); e.Peer != loud.String() {
		t.Errorf("%+v", e)
	}
	list, err := n.ListAllowed(ctx)
	must(err)
	var keys []string
	for _, p := range list.Peers {
		keys = append(keys, p.PublicKey)
	}
	if want := []string{good.String(), loud.String(), shut.String()}; len(keys) != 3 || !slices.IsSorted(keys) || !slices.Contains(keys, want[0]) || !slices.Contains(keys, want[2]) {
		t.Errorf("%v, want %v, sorted", keys, want)
	}
	if d, err := n.GetPeer(ctx, good.String()); err != nil || !d.Allowed {
		t.Errorf("%+v, %v", d, err)
	}

	stranger := newKey(t)
	done, err = n.Disallow(ctx, good.String(), stranger.String())
	must(err)
	if len(done.Peers) != 2 || done.Peers[0].Allowed || !done.Peers[0].WasAllowed || done.Peers[1].Allowed || done.Peers[1].WasAllowed {
		t.Errorf("%+v", done)
	}
	if _, known := n.Peers.Get(stranger.PeerID()); known {
		t.Error("who was not on the list got into the book")
	}
	must(n.Peers.Ban(good.PeerID(), time.Hour, "not so good"))

	all, err := n.UnbanAll(ctx)
	if err != nil || all.Lifted != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	unbanned := []string{await(t, events, EventUnbanned).Peer, await(t, events, EventUnbanned).Peer}
	if !slices.Contains(unbanned, good.String()) || !slices.Contains(unbanned, shut.String()) {
		t.Errorf("told of %v", unbanned)
	}
	if all, err = n.UnbanAll(ctx); err != nil || all.Lifted != 0 {
		t.Errorf("again: %+v, %v", all, err)
	}
}

// misdeed is an offence that bans for an hour.
type misdeed struct{}

func (misdeed) Error() string         { return "a misdeed" }
func (misdeed) BanFor() time.Duration { return time.Hour }

// Who is on the allow list loses its connection for an offence, but is not banned, and no event says so.
func TestAllowedAreSpared(t *testing.T) {
	us, ours := listening(t, Config{})
	remote, theirs := listening(t, Config{})
	if _, err := us.Allow(t.Context(), remote.Identity.String()); err != nil {
		t.Fatal(err)
	}
	if _, err := us.Send(t.Context(), addressOf(remote), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	await(t, theirs, EventMessage)
	id := remote.Identity.Key.Public().PeerID()
	us.Host.Offence(id, misdeed{})
	// The events are in order, and of a ban there is none before.
	if e := awaitAny(t, ours, EventSpared, EventBanned); e.Kind != EventSpared || e.Peer != remote.Identity.String() || e.Error != "a misdeed" || e.Seconds != 0 {
		t.Errorf("%+v", e)
	}
	await(t, theirs, EventDisconnected)
	if _, err := us.Send(t.Context(), addressOf(remote), []byte("again")); err != nil {
		t.Error(err)
	}
	await(t, theirs, EventMessage)

	if _, err := us.Disallow(t.Context(), remote.Identity.String()); err != nil {
		t.Fatal(err)
	}
	us.Host.Offence(id, misdeed{})
	if e := await(t, ours, EventBanned); e.Seconds != 3600 {
		t.Errorf("%+v", e)
	}
	if ban, holds := us.Peers.Banned(id); !holds || ban.Source != peerbook.ByProgram {
		t.Errorf("%+v, %v", ban, holds)
	}
}
