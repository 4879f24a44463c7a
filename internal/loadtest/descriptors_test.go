//go:build linux

package loadtest

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
)

const (
	descriptorLimit = 256
	nodeKey         = 1 << 40 // the key of a host in a process of its own
)

// node is a host with few descriptors. "fill" has it use up all but twenty, "count" tells how it is.
func node(w *worker) error {
	limit := syscall.Rlimit{Cur: descriptorLimit, Max: descriptorLimit}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	h, err := tari.New(tari.Config{
		Key: keyOf(nodeKey), Network: w.network, Listen: loopback, AllowTestAddresses: true,
		Limits: tari.Limits{Exempt: []netip.Prefix{netip.MustParsePrefix("127.9.0.0/16")}},
	})
	if err != nil {
		return err
	}
	defer h.Close()
	h.SetStreamHandler(echo, serveEcho)
	text, _ := h.Addrs()[0].ValueForProtocol(ma.P_TCP)
	port, _ := strconv.Atoi(text)
	w.say("listening", "port", port)
	var held []*os.File
	for {
		switch command := w.hear(); command {
		case "fill":
			for {
				f, err := os.Open(os.DevNull)
				if err != nil {
					break
				}
				held = append(held, f)
			}
			for _, f := range held[len(held)-20:] {
				f.Close()
			}
			held = held[:len(held)-20]
			w.say("filled", "held", len(held))
		case "count":
			r := h.Refusals()
			w.say("counted", "descriptors", int(r[tari.RefusedDescriptors]), "resources", int(r[tari.RefusedResources]),
				"conns", len(h.Network().Conns()))
		case "release":
			for _, f := range held {
				f.Close()
			}
			w.say("released")
		case "end":
			return nil
		default:
			return errors.New(command)
		}
	}
}

// A host that has no descriptors left pauses, and goes on as soon as there are some; and so it does without them in use elsewhere, when
// the resource manager keeps half of them free.
func TestDescriptors(t *testing.T) {
	host := spawn(t, nil, job{Role: "node"})
	port := int(host.expect("listening")["port"])
	w := &worker{job: job{Net: 9, Sources: 250}, network: networks[0], host: "127.0.0.1:" + strconv.Itoa(port)}
	host.ask("fill", "filled")
	gone := w.besiege(t, 300)
	eventually(t, "accept fails", func() bool { return host.ask("count", "counted")["descriptors"] > 2 })
	gone()
	w.comesThrough(t, port, "after the load, with twenty to spare")

	host.ask("release", "released")
	gone = w.besiege(t, 300)
	eventually(t, "the resource manager says no", func() bool { return host.ask("count", "counted")["resources"] > 0 })
	gone()
	w.comesThrough(t, port, "after the load, with all to spare")
	last := host.ask("count", "counted")
	row("256 descriptors, all but 20 in use, 300 strangers", "goes on when they leave", "goes on; accept failed "+strconv.Itoa(int(last["descriptors"]))+" times")
	eventually(t, "nobody is left", func() bool { return host.ask("count", "counted")["conns"] == 0 })
	host.end()
}

// besiege keeps so many silent connections, made again when the host ends them, until the returned function is called.
func (w *worker) besiege(t *testing.T, many int) (gone func()) {
	ctx, cancel := context.WithCancel(testContext(t))
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			for ctx.Err() == nil {
				w.once(ctx, "hold", i, 0, []byte{w.network.WireByte})
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// comesThrough is an honest peer.
func (w *worker) comesThrough(t *testing.T, port int, when string) {
	t.Helper()
	h := start(t, tari.Config{})
	at := peer.AddrInfo{
		ID:    keyOf(nodeKey).Public().PeerID(),
		Addrs: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/" + strconv.Itoa(port))},
	}
	eventually(t, "an honest peer comes through "+when, func() bool { return h.Connect(testContext(t), at) == nil })
	session, ok := h.Session(at.ID)
	if !ok {
		t.Fatal("no session")
	}
	if err := echoOnce(testContext(t), session); err != nil {
		t.Errorf("%s: %v", when, err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
