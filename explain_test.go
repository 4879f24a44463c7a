package tari

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Who dials a name learns what became of it.
func TestANameThatLeadsNowhere(t *testing.T) {
	a, b := startHost(t, Config{}), startHost(t, Config{Listen: loopback})
	missing := errors.New("no such host")
	a.names.allowTest = false
	a.names.lookup = func(_ context.Context, _, host string) ([]netip.Addr, error) {
		switch host {
		case "private.example", "localhost":
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		case "empty.example":
			return nil, nil
		}
		return nil, missing
	}
	port, err := b.Addrs()[0].ValueForProtocol(ma.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) []ma.Multiaddr { return addrs("/dns4/" + name + "/tcp/" + port) }
	for name, want := range map[string]string{
		"missing.example": missing.Error(), "empty.example": errNoName.Error(), "private.example": "private network",
	} {
		err := a.Connect(testContext(t), peer.AddrInfo{ID: b.ID(), Addrs: at(name)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := a.NewStream(testContext(t), b.ID(), echo); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, opening a stream: %v", name, err)
		}
		a.Peerstore().ClearAddrs(b.ID())
	}
	if err := a.Connect(testContext(t), peer.AddrInfo{ID: b.ID(), Addrs: at("localhost")}); err != nil {
		t.Errorf("localhost: %v", err)
	}
}

func TestReasonsAreForgottenInBulk(t *testing.T) {
	n := &namesExplained{resolver: newResolver(false), policy: new(dialPolicy)}
	n.lookup = func(context.Context, string, string) ([]netip.Addr, error) { return nil, errNoName }
	for i := range 3 * maxReasons {
		a := ma.StringCast(fmt.Sprintf("/dns4/n%d.example/tcp/1", i))
		if got, err := n.ResolveDNSComponent(context.Background(), a, 10); err != nil || len(got) != 1 || !got[0].Equal(a) {
			t.Fatalf("%v, %v", got, err)
		}
		if len(n.reasons) > maxReasons {
			t.Fatalf("%d reasons kept", len(n.reasons))
		}
	}
}
