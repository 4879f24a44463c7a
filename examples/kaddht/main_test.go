package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

func TestPutsAndFinds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"found  12D3", `got    "hello"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
}

// What identify would have told is in the peerstore, from the claim: the DHT's protocol, the addresses, the user agent.
func TestClaimTellsWhatIdentifyWould(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first, err := join(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := join(ctx, []*member{first}) // returns when kad-dht has taken the first into its routing table
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := first.knows(ctx, 1); err != nil {
		t.Fatal("the side that was dialed:", err)
	}

	for _, side := range []struct{ us, them *member }{{first, second}, {second, first}} {
		store, them := side.us.host.Peerstore(), side.them.host.ID()
		if ids, err := store.SupportsProtocols(them, "/example/kad/1.0.0"); err != nil || len(ids) != 1 {
			t.Errorf("protocols %v, %v", ids, err)
		}
		if addr := side.them.host.Addrs()[0]; !ma.Contains(store.Addrs(them), addr) {
			t.Errorf("%v lacks %v", store.Addrs(them), addr)
		}
		if agent, err := store.Get(them, "AgentVersion"); err != nil || agent != "tari-libp2p/go" {
			t.Errorf("user agent %v, %v", agent, err)
		}
		if ids, _ := store.SupportsProtocols(them, "/ipfs/id/1.0.0"); len(ids) != 0 {
			t.Error("somebody runs identify")
		}
	}
}
