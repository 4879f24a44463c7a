// Package conformance asks a node from outside whether it keeps the rules of the wire that tari_comms keeps, one check after the
// other, each with a throw-away identity or none.
//
// Most checks do what honest peers do. Those that are marked hostile break a rule to see what happens: nodes of tari_comms ban for
// some of them, the identity and not the address, but whoever runs the node may see it otherwise.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// Target is the node that is asked.
type Target struct {
	Peer    tari.Address
	Network dialect.Network
	SOCKS   string      // host:port of a proxy to go through; "" = none
	Hostile bool        // the hostile checks too
	Service protocol.ID // of RPC to try; "" = the first of Tari's that its claim names
}

// Verdict is what a check came to.
type Verdict string

// The verdicts.
const (
	OK      Verdict = "ok"
	Failed  Verdict = "failed"
	Skipped Verdict = "skipped"
)

// Result is one check, as it went.
type Result struct {
	Area    string  `json:"area"`
	Check   string  `json:"check"`
	Hostile bool    `json:"hostile"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	TookUS  int64   `json:"took_us"`
}

// checkLimit is how long one check may take. The longest wait is that for the end of a handshake which stands still.
const checkLimit = 40 * time.Second

// endLimit is how long the end of a connection may take that the peer should end at once.
const endLimit = 10 * time.Second

// Run makes the checks in order and tells report of each when it ends. The error is that of the first connection, or ctx's; that a
// check failed is none.
func Run(ctx context.Context, to Target, report func(Result)) error {
	p := &probe{Target: to}
	defer func() { p.close() }()
	for _, c := range checks {
		r := Result{Area: c.area, Check: c.name, Hostile: c.hostile}
		began := time.Now()
		detail, err := p.run(ctx, c)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.TookUS = time.Since(began).Microseconds()
		var skipped skip
		switch {
		case err == nil:
			r.Verdict, r.Detail = OK, detail
		case errors.As(err, &skipped):
			r.Verdict, r.Detail = Skipped, string(skipped)
		default:
			r.Verdict, r.Detail = Failed, node.FailureOf(err).Text
		}
		report(r)
		if c.first && err != nil {
			return err // there is nobody to ask
		}
	}
	return nil
}

// check is a question. run returns what there is to say when the answer is the right one, else an error.
type check struct {
	area, name string
	first      bool // without it there is no other
	hostile    bool
	run        func(ctx context.Context, p *probe) (detail string, err error)
}

func (p *probe) run(ctx context.Context, c check) (string, error) {
	if c.hostile && !p.Hostile {
		return "", skip("hostile")
	}
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	return c.run(ctx, p)
}

// skip is why a check was not made.
type skip string

func (s skip) Error() string { return string(s) }

// probe is a run under way.
type probe struct {
	Target
	honest *stranger // that the checks without malice share; nil before the first
}

func (p *probe) close() {
	if p.honest != nil {
		p.honest.close()
	}
}

// dial makes a connection on which nothing was said yet, and closes it with ctx.
func (p *probe) dial(ctx context.Context) (net.Conn, error) {
	var errs []error
	for _, at := range p.Peer.Addrs {
		c, err := node.DialAddress(ctx, p.SOCKS, at)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = c.Close() })
			return c, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", at, err))
	}
	return nil, errors.Join(errs...)
}

// stranger is a node with a throw-away identity that is connected.
type stranger struct {
	*node.Node
	session *dialect.Session
}

func (p *probe) stranger(ctx context.Context) (*stranger, error) {
	n, err := node.Errand(ctx, node.Config{Network: p.Network, Tor: node.Tor{SOCKS: p.SOCKS}, AllowTestAddresses: true}) // nothing is stored
	if err != nil {
		return nil, err
	}
	s := &stranger{Node: n}
	if err := n.Host.Connect(ctx, p.Peer.AddrInfo()); err != nil {
		s.close()
		return nil, err
	}
	for _, c := range n.Host.Network().ConnsToPeer(p.Peer.Key.PeerID()) {
		c.As(&s.session)
	}
	if s.session == nil {
		s.close()
		return nil, errors.New("the connection has ended")
	}
	return s, nil
}

func (s *stranger) close() { _ = s.Close() } // what could not be flushed is of no interest

// ended waits until the peer has ended the connection.
func ended(ctx context.Context, is func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("the connection goes on")
		}
	}
	return nil
}
