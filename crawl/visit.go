package crawl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/peersync"
	"github.com/tari-libp2p/tari-libp2p/rpc"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Times of a visit, our choice. A dial has time for the whole handshake: who
// breaks off in the middle of one is banned for two minutes by tari_comms.
const (
	dialLimit      = 30 * time.Second
	onionDialLimit = 150 * time.Second
	askLimit       = time.Minute
)

// A peer whose answers are full knows more than it tells at a time. It is asked
// again on the same connection, until too little of what it tells is new.
const (
	fullAnswer = 500 // peers
	maxCalls   = 10
	fewNew     = 50 // of one in so many, or less
	betweenAsk = 2 * time.Second
)

// visitor goes to see one peer.
type visitor struct {
	host  *tari.Host
	query peersync.Query
	id    peer.ID

	visit Visit
	own   *identityproto.Claim // what the peer says of itself
	told  map[tarikey.PublicKey]*identityproto.Claim
}

// see connects to the peer, at the first of the addresses where it is, asks it
// for its peers, and leaves.
func (v *visitor) see(ctx context.Context, addrs []ma.Multiaddr) {
	v.visit.At = time.Now()
	v.told = make(map[tarikey.PublicKey]*identityproto.Claim)
	if v.connect(ctx, addrs) {
		v.visit.Class, v.visit.Error = v.ask(ctx)
	}
	_ = v.host.Network().ClosePeer(v.id)
	v.visit.TookUS = time.Since(v.visit.At).Microseconds()
}

// connect tries one address at a time, so that it is known how it went at each.
func (v *visitor) connect(ctx context.Context, addrs []ma.Multiaddr) bool {
	for _, addr := range addrs {
		began := time.Now()
		err := v.dial(ctx, addr)
		a := Attempt{Address: addr.String(), TookUS: time.Since(began).Microseconds()}
		if err != nil {
			a.Class, a.Error = dialClass(err), node.FailureOf(err).Text
			if other, ok := errors.AsType[*dialect.KeyMismatchError](err); ok {
				a.Owner = &other.Got
			}
		}
		v.visit.Attempts = append(v.visit.Attempts, a)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			break
		}
	}
	v.visit.Class, v.visit.Error = best(v.visit.Attempts)
	return false
}

func (v *visitor) dial(ctx context.Context, addr ma.Multiaddr) error {
	limit := dialLimit
	if Kind(addr) == "onion3" {
		limit = onionDialLimit
	}
	ctx, cancel := context.WithTimeout(network.WithDialPeerTimeout(ctx, limit), limit)
	defer cancel()
	v.host.Peerstore().ClearAddrs(v.id) // that one alone is dialed
	return v.host.Connect(ctx, peer.AddrInfo{ID: v.id, Addrs: []ma.Multiaddr{addr}})
}

// dialClass sorts the error of a dial.
func dialClass(err error) Class {
	if dial, ok := errors.AsType[*swarm.DialError](err); ok {
		tried := len(dial.DialErrors) == 0
		for _, one := range dial.DialErrors {
			_, not := errors.AsType[*tari.NotTriedError](one.Cause)
			tried = tried || !not
		}
		if !tried {
			return NotTried
		}
	}
	switch node.FailureOf(err).Kind {
	case node.FailAuthentication:
		return Authentication
	case node.FailRefused:
		return Refused
	case node.FailTimeout:
		return TimedOut
	}
	return Unreachable
}

// says orders the classes of attempts by how much they say of the peer.
var says = map[Class]int{LeftAlone: 1, NotTried: 2, Unreachable: 3, TimedOut: 4, Authentication: 5, Refused: 6}

// best is the attempt that says most.
func best(attempts []Attempt) (Class, string) {
	class, text := NotTried, "no address"
	for i, a := range attempts {
		if i == 0 || says[a.Class] > says[class] {
			class, text = a.Class, a.Error
		}
	}
	return class, text
}

// ask asks a connected peer, as often as it is worth it.
func (v *visitor) ask(ctx context.Context) (Class, string) {
	session, ok := v.host.Session(v.id)
	if !ok {
		return Failed, "the connection has ended"
	}
	v.own = session.Claim
	v.visit.UserAgent = v.own.UserAgent
	for _, p := range v.own.Protocols {
		v.visit.Protocols = append(v.visit.Protocols, string(p))
	}
	if !v.own.Supports(peersync.Service) {
		return NoService, ""
	}
	client, err := v.open(ctx)
	if err != nil {
		return callClass(err)
	}
	defer client.Close()
	for call := 1; ; call++ {
		items, fresh, err := v.once(ctx, client)
		if err != nil {
			return callClass(err)
		}
		if items < fullAnswer || fresh*fewNew <= items || call == maxCalls {
			return Answered, ""
		}
		select {
		case <-time.After(betweenAsk):
		case <-ctx.Done():
			return Failed, ctx.Err().Error()
		}
	}
}

func (v *visitor) open(ctx context.Context) (*rpc.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	return peersync.Connect(network.WithNoDial(ctx, "it has just been dialed"), v.host, v.id)
}

// once makes one call. It returns how many peers came, and how many of them this
// peer had not told of before.
func (v *visitor) once(ctx context.Context, client *rpc.Client) (items, fresh int, err error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	answer, err := peersync.Ask(ctx, client, v.query)
	for _, p := range answer.Peers { // those that came before an error hold as well
		if v.told[p.Claim.Key] == nil {
			fresh++
		}
		v.told[p.Claim.Key] = p.Claim
	}
	for fault, n := range answer.Invalid {
		if v.visit.Invalid == nil {
			v.visit.Invalid = make(map[peersync.Fault]int)
		}
		v.visit.Invalid[fault] += n
	}
	return answer.Items, fresh, err
}

// callClass sorts the error of a call.
func callClass(err error) (Class, string) {
	if offence, ok := errors.AsType[*peersync.OffenceError](err); ok {
		return Hostile, offence.What
	}
	if rejected, ok := errors.AsType[*rpc.RejectedError](err); ok {
		switch rejected.Reason {
		case rpc.RejectServerFull, rpc.RejectClientFull, rpc.RejectUnknown:
			return Busy, rejected.Reason.String()
		case rpc.RejectNotSupported:
			return NoService, ""
		}
	}
	if errors.As(err, new(multistream.ErrNotSupported[protocol.ID])) {
		return NoService, ""
	}
	switch rpc.CodeOf(err) {
	case rpc.UnsupportedMethod, rpc.NotImplemented, rpc.Forbidden:
		return NoService, fmt.Sprint(err)
	}
	return Failed, node.FailureOf(err).Text
}
