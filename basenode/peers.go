package basenode

import (
	"context"
	"errors"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// PeersConfig is what NewPeers needs to know. Its zero value works.
type PeersConfig struct {
	Config
	// OnLeave is told of each peer that is left for the next, and why. It is called
	// by whoever asks.
	OnLeave func(*PeerError)
}

// Peers are base nodes that are asked one at a time: one until it fails, and then
// the next. Its sessions are given back when it is left. One that gave a bad answer is
// not asked again. It is safe for concurrent use: when one caller leaves a peer,
// the others do too, as their sessions with it have ended.
type Peers struct {
	cfg     PeersConfig
	clients []*Client

	mu   sync.Mutex
	at   int
	lied []error // of each client, or nil
}

// NewPeers makes clients of the peers, which are asked in that order. The error
// is that of New.
func NewPeers(h rpc.Streams, peers []peer.ID, cfg PeersConfig) (*Peers, error) {
	p := &Peers{cfg: cfg, lied: make([]error, len(peers))}
	for _, id := range peers {
		c, err := New(h, id, cfg.Config)
		if err != nil {
			return nil, err
		}
		p.clients = append(p.clients, c)
	}
	return p, nil
}

// Close gives all sessions back.
func (p *Peers) Close() error {
	for _, c := range p.clients {
		_ = c.Close()
	}
	return nil
}

// Ask calls f with the peer that is asked at present, and if that fails with the
// others, each once. It returns nil when f did; f's error as it is if that is an
// answer (NotFound, BadRequest) or ctx's; and a *NoPeerError if all have failed.
func (p *Peers) Ask(ctx context.Context, f func(*Client) error) error {
	var failed []*PeerError
	start := p.current()
	for i := range p.clients {
		n := (start + i) % len(p.clients)
		err := p.barred(n)
		if err == nil {
			err = f(p.clients[n])
			if err == nil || isAnswer(err) || ctx.Err() != nil {
				return err
			}
			p.leave(n, err)
		}
		failed = append(failed, &PeerError{p.clients[n].peer, err})
	}
	return &NoPeerError{failed}
}

// isAnswer tells what a peer says of its chain from what keeps it from answering.
func isAnswer(err error) bool {
	if errors.As(err, new(*uselessError)) {
		return false
	}
	code := rpc.CodeOf(err)
	return code == rpc.NotFound || code == rpc.BadRequest
}

func (p *Peers) current() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

func (p *Peers) barred(n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lied[n]
}

// leave goes on to the peer behind n.
func (p *Peers) leave(n int, why error) {
	p.mu.Lock()
	p.at = (n + 1) % len(p.clients)
	if errors.As(why, new(*BadAnswerError)) {
		p.lied[n] = why
	}
	p.mu.Unlock()
	_ = p.clients[n].Close()
	if p.cfg.OnLeave != nil {
		p.cfg.OnLeave(&PeerError{p.clients[n].peer, why})
	}
}
