package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// TestBlamed: an address has failed if it was tried, and had its time.
func TestBlamed(t *testing.T) {
	const onion = "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1"
	ip := func(n int) ma.Multiaddr { return ma.StringCast(fmt.Sprintf("/ip4/1.2.3.%d/tcp/1", n)) }
	unfinished := func(took time.Duration, err error) error { return &tari.UnfinishedError{Took: took, Err: err} }
	refused := errors.New("connection refused")
	err := fmt.Errorf("node: %w", &swarm.DialError{Cause: context.DeadlineExceeded, DialErrors: []swarm.TransportError{
		{Address: ip(1), Cause: refused},
		{Address: ip(2), Cause: &tari.NotTriedError{Err: tari.ErrInternal}},
		{Address: ip(3), Cause: &tari.NotTriedError{Err: refused}},
		{Address: ip(4), Cause: unfinished(time.Minute, context.Canceled)},
		{Address: ip(5), Cause: unfinished(fairTry-time.Millisecond, context.DeadlineExceeded)},
		{Address: ip(6), Cause: unfinished(fairTry, context.DeadlineExceeded)},
		{Address: ma.StringCast(onion), Cause: unfinished(fairOnionTry-time.Millisecond, context.DeadlineExceeded)},
		{Address: ma.StringCast(onion + "1"), Cause: unfinished(fairOnionTry, context.DeadlineExceeded)},
		{Address: ip(7), Cause: context.Canceled},
	}})
	want := []ma.Multiaddr{ip(1), ip(6), ma.StringCast(onion + "1")}
	got := blamed(err)
	if len(got) != len(want) {
		t.Fatalf("blamed %v", got)
	}
	for i, one := range got {
		if !one.Address.Equal(want[i]) {
			t.Errorf("blamed %s, want %s", one.Address, want[i])
		}
	}
	if got := blamed(refused); got != nil {
		t.Errorf("blamed %v", got)
	}
}

// TestUnproven: connectivity is told which addresses a stranger may have made up.
func TestUnproven(t *testing.T) {
	us, err := Errand(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer us.Close()
	key, err := tarikey.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	at := func(n int) ma.Multiaddr { return ma.StringCast(fmt.Sprintf("/ip4/1.2.3.%d/tcp/1", n)) }
	if err := us.Peers.Put(peerbook.Record{Key: key.Public(), Addresses: []peerbook.Address{
		{Addr: at(1), Source: peerbook.Configured},
		{Addr: at(2), Source: peerbook.Claimed},
		{Addr: at(3), Source: peerbook.Relayed},
		{Addr: at(4), Source: peerbook.Claimed, LastSeen: time.Now()},
	}}); err != nil {
		t.Fatal(err)
	}
	found := (&links{n: us}).Candidates()
	if len(found) != 1 || len(found[0].Addrs) != 4 {
		t.Fatalf("candidates %+v", found)
	}
	for n, unproven := range map[int]bool{1: false, 2: true, 3: true, 4: false} {
		if got := slices.ContainsFunc(found[0].Unproven, at(n).Equal); got != unproven {
			t.Errorf("%s is unproven: %v", at(n), got)
		}
	}
}
