package messagingproto

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// inboundPeer is what is known of a peer that sends to us. Service.mu guards it.
type inboundPeer struct {
	current  network.Stream
	stopping map[network.Stream]struct{} // replaced, but still handing over what had arrived

	second       time.Time // when the replacements were counted from
	replacements int

	received atomic.Uint64 // messages
}

// serve receives the messages of one stream until it ends.
func (s *Service) serve(stream network.Stream) {
	from := stream.Conn().RemotePeer()
	p := s.begin(from, stream)
	if p == nil {
		s.counts.refused.Add(1)
		_ = stream.ResetWithError(network.StreamRateLimited)
		return
	}
	defer s.work.Done()
	defer s.end(from, stream)

	if mannersOf[stream.Protocol()].endsOwnHalf {
		stream.CloseWrite()
	}
	err := s.receive(from, p, stream)

	if _, tooLarge := errors.AsType[*tariproto.FrameSizeError](err); tooLarge {
		s.counts.offences.Add(1)
		_ = stream.ResetWithError(network.StreamProtocolViolation)
		if s.cfg.OnViolation != nil {
			s.cfg.OnViolation(from, &ViolationError{err})
		}
		return
	}
	// The peer has nothing to read from us: a reset tells it not to write any
	// more, and is no news to a peer that ended the stream itself.
	stream.Reset()
}

// receive hands every frame of a stream over until it or the service ends.
func (s *Service) receive(from peer.ID, p *inboundPeer, stream network.Stream) error {
	f := frames{r: stream, scope: stream.Scope()}
	defer f.release()
	for {
		body, err := f.next()
		if err != nil {
			return err
		}
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		p.received.Add(1)
		s.counts.received.Add(1)
		s.counts.receivedBytes.Add(uint64(len(body)))
		(*s.handler.Load())(s.ctx, from, body)
	}
}

// begin makes stream the current one of its peer. The one before it keeps
// handing over what has arrived, for at most drainTime. It returns nil to refuse
// a peer that opens streams too often.
func (s *Service) begin(from peer.ID, stream network.Stream) *inboundPeer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	p := s.inbound[from]
	if p == nil {
		p = &inboundPeer{stopping: make(map[network.Stream]struct{})}
		s.inbound[from] = p
	}
	if p.current != nil {
		now := time.Now()
		if now.Sub(p.second) >= time.Second {
			p.second, p.replacements = now, 0
		}
		if p.replacements == maxReplacements || len(p.stopping) == maxStopping {
			return nil
		}
		p.replacements++
		p.stopping[p.current] = struct{}{}
		p.current.SetReadDeadline(now.Add(drainTime))
	}
	p.current = stream
	s.work.Add(1)
	return p
}

// end forgets a stream that is over.
func (s *Service) end(from peer.ID, stream network.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.inbound[from]
	delete(p.stopping, stream)
	if p.current == stream {
		p.current = nil
	}
	if p.current == nil && len(p.stopping) == 0 {
		delete(s.inbound, from)
	}
}

// closeInbound resets all streams that peers opened; their goroutines then end.
func (s *Service) closeInbound() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.inbound {
		if p.current != nil {
			p.current.Reset()
		}
		for stream := range p.stopping {
			stream.Reset()
		}
	}
}
