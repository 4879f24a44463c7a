//go:build interop && linux

package netns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tari-libp2p/tari-libp2p/interop/pattern"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// soakPeer is a peer in the soak, and its part of the script.
type soakPeer struct {
	*soak
	how     process
	key     tarikey.PublicKey
	address string
	lane    int
	inbox   chan string // hashes of what came to it
	ours    chan string // and of what came to us from it
	chance  *rand.Rand
	ending  atomic.Bool  // the script ends its connection, or lets it be ended
	gone    atomic.Int64 // connections that have ended
	series  uint64       // of messages
	before  [2][]string  // hashes of the last messages from it and to it
	trail   trail
}

func (p *soakPeer) String() string { return fmt.Sprintf("%T %.8s in lane %d", p.how, p.key, p.lane) }

// process is where a peer lives.
type process interface {
	do(cmd string, fields map[string]any) (line, error)
	// connected is whether it has a connection to another; a peer of ours is asked for the very ones that the other has. One side may have
	// one that the other has given up, or will know of in a moment.
	connected(to tarikey.PublicKey, by []string) bool
	restart() error
	mayBeKilled() bool
	kill() error // and begin anew
}

// arrived notes a message. The script never has so many under way that there is no room.
func (p *soakPeer) arrived(at chan string, hash string) {
	select {
	case at <- hash:
	default:
		p.fail("got more messages than anybody sent")
	}
}

func (p *soakPeer) fail(format string, args ...any) {
	p.lost.Add(1)
	p.t.Errorf("%v: %s\n\t%s", p, fmt.Sprintf(format, args...), p.story())
}

// live goes through lives until ctx ends, then leaves the peer connected, with a stream each way, and idle.
func (p *soakPeer) live(ctx context.Context) {
	for ctx.Err() == nil {
		p.connect()
		for range 1 + p.chance.IntN(5) {
			p.talk(p.chance.IntN(2) == 0, 1+p.chance.IntN(10), p.size())
			if !p.rest(ctx, 5*time.Second) {
				break
			}
		}
		if ctx.Err() != nil {
			break
		}
		p.end()
		p.rest(ctx, 5*time.Second)
	}
	p.connect()
	p.talk(true, 1, 100)
	p.talk(false, 1, 100)
}

// size is that of a message: as many of ten bytes as of ten thousand.
func (p *soakPeer) size() int {
	if p.chance.IntN(50) == 0 {
		return 256 << 10
	}
	return 1<<p.chance.IntN(16) + p.chance.IntN(100)
}

// rest waits for up to most, unless ctx ends before.
func (p *soakPeer) rest(ctx context.Context, most time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(rand.N(most)):
		return true
	}
}

func (p *soakPeer) connected() bool {
	return p.node.Host.Network().Connectedness(p.key.PeerID()) == network.Connected
}

// us are the fields by which a peer is told whom to talk to.
func (p *soakPeer) us(more ...any) map[string]any {
	key := p.node.Host.PublicKey()
	fields := map[string]any{"public_key": key.String(), "node_id": key.NodeID().String()}
	for pair := range slices.Chunk(more, 2) {
		fields[pair[0].(string)] = pair[1]
	}
	return fields
}

// connect makes a connection, if there is none, from either side, in as many attempts as it takes.
func (p *soakPeer) connect() {
	us := p.node.Host.PublicKey()
	began := time.Now()
	for {
		if p.connected() && p.how.connected(us, ends(p.node.Host.Network(), p.key.PeerID(), true)) {
			p.ending.Store(false)
			if p.connected() { // it may have gone while we thought so
				p.trail.note("connected")
				return
			}
			p.ending.Store(true)
		}
		var err error
		weDial := p.chance.IntN(2) == 0
		p.trail.note("we dial: %v", weDial)
		if weDial {
			_, err = p.node.Dial(context.Background(), p.key.String()+"::"+p.address)
		} else {
			_, err = p.how.do("dial", p.us("addresses", []string{fmt.Sprintf("/ip4/%s/tcp/%d", nearIP(p.lane), soakPort)}))
		}
		p.trail.note("dialed: %v", err)
		if time.Since(began) > 3*patience {
			p.fail("cannot be connected to: %v", err)
			return
		}
		time.Sleep(rand.N(500 * time.Millisecond)) // the other side may not know of it yet
	}
}

// talk sends messages one way and waits until they have arrived.
func (p *soakPeer) talk(weSend bool, count, size int) {
	p.series++
	seed := p.series<<20 | uint64(size)
	var err error
	if weSend {
		messages := make([][]byte, count)
		for i := range messages {
			messages[i] = pattern.Message(seed, i, size)
		}
		for _, r := range p.node.Messages.SendMany(context.Background(), p.key.PeerID(), messages) {
			err = errors.Join(err, r.Err)
		}
	} else {
		_, err = p.how.do("send", p.us("seed", seed, "count", count, "size", size))
	}
	if err != nil {
		p.fail("we send %v, %d messages of %d bytes: %v", weSend, count, size, err)
		return
	}
	p.trail.note("sent, by us: %v, %d messages of %d bytes", weSend, count, size)
	for i := range count {
		if !p.await(weSend, sum(pattern.Message(seed, i, size))) {
			p.fail("we send %v: message %d of %d with %d bytes does not arrive", weSend, i, count, size)
			return
		}
		p.messages.Add(1)
	}
}

// await waits for one message, the next but for those that come again: after a tie between two connections that may happen.
func (p *soakPeer) await(weSend bool, want string) bool {
	at, before := p.ours, &p.before[0]
	if weSend {
		at, before = p.inbox, &p.before[1]
	}
	for {
		select {
		case got := <-at:
			if got == want {
				*before = append((*before)[max(0, len(*before)-30):], want)
				return true
			}
			if !slices.Contains(*before, got) {
				p.fail("we send %v: a message that nobody sent, or too early", weSend)
				return false
			}
			p.again.Add(1)
		case <-time.After(patience):
			return false
		}
	}
}

// end ends the connection in one of the ways in which connections end.
func (p *soakPeer) end() {
	p.ending.Store(true)
	before := p.gone.Load()
	var err error
	kind := p.chance.IntN(10)
	p.trail.note("to be ended in way %d", kind)
	switch {
	case kind < 4:
		err = p.node.Host.Network().ClosePeer(p.key.PeerID())
	case kind < 7:
		_, err = p.how.do("disconnect", p.us())
	case kind < 8 || !p.how.mayBeKilled():
		err = p.how.restart()
		p.restarts.Add(1)
	default:
		err = p.how.kill()
		p.kills.Add(1)
	}
	if err != nil {
		p.fail("ending: %v", err)
	}
	for began := time.Now(); p.gone.Load() == before; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > patience {
			p.fail("the end of its connection is not seen")
			return
		}
	}
}

// crowdPeer is one of the hosts in a crowd.
type crowdPeer struct {
	all   *driven
	index int
}

func (c *crowdPeer) do(cmd string, fields map[string]any) (line, error) {
	fields["host"] = c.index
	return c.all.do(cmd, fields)
}

func (c *crowdPeer) connected(to tarikey.PublicKey, by []string) bool {
	_, err := c.do("connected", map[string]any{"public_key": to.String(), "ends": by})
	return err == nil
}

func (c *crowdPeer) restart() error {
	_, err := c.do("restart", map[string]any{})
	return err
}

func (c *crowdPeer) mayBeKilled() bool { return false } // the others in the process live on

func (c *crowdPeer) kill() error { return errors.ErrUnsupported }

// rustPeer is a Rust peer in a process of its own.
type rustPeer struct {
	*rust
	args   []string // of nsenter, up to where it listens
	listen string   // the same port after a restart
	said   func(line)
}

func (r *rustPeer) start() (err error) {
	r.rust, err = startRust(exec.Command("nsenter", append(slices.Clone(r.args), r.listen)...), r.said)
	if err == nil {
		r.listen = r.Address
	}
	return err
}

func (r *rustPeer) restart() error {
	r.quit()
	return r.start()
}

func (r *rustPeer) connected(to tarikey.PublicKey, _ []string) bool { return r.rust.connected(to) }

func (r *rustPeer) mayBeKilled() bool { return true }

func (r *rustPeer) kill() error {
	r.driven.kill()
	return r.start()
}
