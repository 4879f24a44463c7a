//go:build interop && linux

package netns

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// patience bounds waits that end with an event.
const patience = 2 * time.Minute

// clearnet are addresses that lead out of the machine, if one dials them or asks for them.
var clearnet = []string{
	"/ip4/1.2.3.4/tcp/18189",
	"/ip6/2606:4700::1/tcp/18189",
	"/dns4/peer.tari.example.com/tcp/18189",
	"/dns6/peer.tari.example.com/tcp/18189",
	"/dns/peer.tari.example.com/tcp/18189",
	"/dnsaddr/seed.tari.example.com/tcp/18189",
}

// TestOnlyTor: a node that is only on Tor opens no socket but on loopback, sends nothing but to loopback, asks nobody
// for names and claims nothing but its onion address, whatever addresses it is given and whatever its peers claim.
func TestOnlyTor(t *testing.T) {
	inside(t, func(t *testing.T) {
		s := start(t, node.Tor{Only: true})
		stop := watchSockets()
		s.talk(t)
		for _, a := range clearnet {
			if _, err := s.node.Send(t.Context(), somebody(t)+"::"+a, []byte("psst")); err == nil {
				t.Errorf("sent to %s", a)
			}
		}
		if sockets := stop(); len(sockets) != 0 {
			t.Errorf("sockets that are not on loopback: %q", sockets)
		}
		if outside, dns := sent(t); outside != 0 || dns != 0 {
			t.Errorf("%d packets left the machine, %d for a name server", outside, dns)
		}
		for _, host := range s.proxy.all() {
			if !strings.HasSuffix(host, ".onion") {
				t.Errorf("asked the proxy for %s", host)
			}
		}
		claim, ok := s.peer.Claim(s.node.Host.ID())
		if !ok || len(claim.Addresses) != 1 || claim.Addresses[0].Protocols()[0].Code != ma.P_ONION3 {
			t.Errorf("the node claimed %v", claim)
		}
		for _, a := range ours {
			if strings.Contains(s.log(), a) {
				t.Errorf("the node told of %s, an address of this machine: %s", a, s.log())
			}
		}
	})
}

// TestEverythingThroughProxy: the default with Tor leaves names and IP addresses to the proxy.
func TestEverythingThroughProxy(t *testing.T) {
	inside(t, func(t *testing.T) {
		s := start(t, node.Tor{})
		stop := watchSockets()
		s.talk(t)
		for _, a := range clearnet {
			if _, err := s.node.Send(t.Context(), somebody(t)+"::"+a, []byte("psst")); err == nil {
				t.Errorf("sent to %s", a)
			}
		}
		if sockets := stop(); len(sockets) != 0 {
			t.Errorf("sockets that are not on loopback: %q", sockets)
		}
		if outside, dns := sent(t); outside != 0 || dns != 0 {
			t.Errorf("%d packets left the machine, %d for a name server", outside, dns)
		}
		for _, want := range []string{"1.2.3.4", "2606:4700::1", "peer.tari.example.com", "seed.tari.example.com"} {
			if !slices.Contains(s.proxy.all(), want) {
				t.Errorf("the proxy was not asked for %s", want)
			}
		}
	})
}

// TestDirect shows that the two tests above could fail: where only onion addresses go through Tor, the same
// addresses give packets to the outside and to the name server, and sockets that the watch sees.
func TestDirect(t *testing.T) {
	inside(t, func(t *testing.T) {
		s := start(t, node.Tor{Direct: true})
		stop := watchSockets()
		s.talk(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var trying sync.WaitGroup
		for _, a := range clearnet {
			to := somebody(t) + "::" + a
			trying.Go(func() { _, _ = s.node.Send(ctx, to, []byte("psst")) }) // nobody will ever answer
		}
		eventually(t, "packets to the outside and to the name server", func() bool {
			outside, dns := sent(t)
			return outside > dns && dns > 0
		})
		cancel()
		trying.Wait()
		if sockets := stop(); len(sockets) == 0 {
			t.Error("the watch saw none of the sockets")
		}
		if !strings.Contains(s.log(), ours[0]) {
			t.Errorf("the node told nothing of %s: %s", ours[0], s.log())
		}
	})
}

// scene is a node with a Tor's control port and a proxy, and a peer behind the proxy.
type scene struct {
	node  *node.Node
	peer  *tari.Host
	proxy *proxy
	inbox chan string // of the peer

	mu   sync.Mutex
	told strings.Builder // all events of the node, as whoever logs them gets them
}

// log is what the node has told so far.
func (s *scene) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told.String()
}

// ours are the addresses of this machine, as the namespace has them.
var ours = []string{"203.0.113.1", "2001:db8::1"}

func start(t *testing.T, how node.Tor) *scene {
	t.Helper()
	s := &scene{inbox: make(chan string, 16)}
	var err error
	// The peer claims addresses everywhere, so that the node learns them.
	s.peer, err = tari.New(tari.Config{
		Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
		Public: []ma.Multiaddr{ma.StringCast("/ip4/5.6.7.8/tcp/18189"), ma.StringCast("/dns4/claimed.example.com/tcp/18189")},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.peer.Close() })
	messages, err := messagingproto.New(s.peer, messagingproto.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = messages.Close() })
	messages.Handle(func(_ context.Context, _ peer.ID, body []byte) { s.inbox <- string(body) })
	listener, err := manet.ToNetAddr(s.peer.Network().ListenAddresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	s.proxy = startProxy(t, listener.String())

	how.Service, how.Control, how.SOCKS = true, startTor(t), s.proxy.address
	up := make(chan struct{}, 16)
	cfg := node.Config{
		DataDir: t.TempDir(),
		Public:  []ma.Multiaddr{ma.StringCast("/ip4/203.0.113.1/tcp/18189")},
		Tor:     how,
		OnEvent: func(e node.Event) {
			line, err := json.Marshal(e)
			if err != nil {
				t.Error(err)
			}
			s.mu.Lock()
			s.told.Write(line)
			s.mu.Unlock()
			if e.Kind == node.EventTor && e.Error == "" {
				up <- struct{}{}
			}
		},
	}
	if how.Only {
		cfg.Listen = []ma.Multiaddr{ma.StringCast("/ip4/0.0.0.0/tcp/0"), ma.StringCast("/ip6/::/tcp/0")} // not to be heeded
	}
	kept, err := tari.ParseAddress(s.peerAddress())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Peers = []tari.Address{kept}
	s.node, err = node.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.node.Close() })
	select {
	case <-up:
	case <-time.After(patience):
		t.Fatal("the onion service never stood")
	}
	return s
}

// peerAddress is the peer at every kind of address, of which only the onion one leads to it.
func (s *scene) peerAddress() string {
	const onion = "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:18141"
	return s.peer.PublicKey().String() + "::" + strings.Join(append(slices.Clone(clearnet), onion), "::")
}

// talk has the node message the peer, lose the connection, and message it again at what it knows by then.
func (s *scene) talk(t *testing.T) {
	t.Helper()
	for i, to := range []string{s.peerAddress(), s.peer.PublicKey().String()} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		text := fmt.Sprintf("message %d", i)
		for {
			_, err := s.node.Send(ctx, to, []byte(text))
			if err == nil {
				break
			}
			t.Log(err)
			select {
			case <-ctx.Done():
				t.Fatal("never sent")
			case <-time.After(100 * time.Millisecond):
			}
		}
		select {
		case got := <-s.inbox:
			if got != text {
				t.Errorf("the peer got %q, want %q", got, text)
			}
		case <-ctx.Done():
			t.Fatal("the peer got nothing")
		}
		cancel()
		if i == 0 {
			_ = s.node.Host.Network().ClosePeer(s.peer.ID())
		}
	}
}

// startTor starts a Tor that has no network, not even on loopback, and returns its control port.
func startTor(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	nobody := strings.Repeat("F", 40)
	port := filepath.Join(dir, "port")
	torrc := "DirAuthority nobody orport=1 v3ident=" + nobody + " 127.0.0.1:1 " + nobody + "\n" +
		"ClientOnly 1\nSocksPort 127.0.0.1:auto\nControlPort 127.0.0.1:auto\nCookieAuthentication 1\n" +
		"ControlPortWriteToFile " + port + "\nDataDirectory " + filepath.Join(dir, "data") + "\n"
	file := filepath.Join(dir, "torrc")
	if err := os.WriteFile(file, []byte(torrc), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tor", "-f", file, "--quiet")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var control string
	eventually(t, "Tor's control port", func() bool {
		text, _ := os.ReadFile(port)
		control = strings.TrimSpace(strings.TrimPrefix(string(text), "PORT="))
		return control != "" && strings.HasSuffix(string(text), "\n")
	})
	return control
}

// somebody is the key of a peer that does not exist.
func somebody(t *testing.T) string {
	key, err := tarikey.GenerateKey(nil)
	if err != nil {
		t.Error(err)
	}
	return key.Public().String()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("never: " + what)
		}
	}
}
