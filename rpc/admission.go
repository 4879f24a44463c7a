package rpc

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// place is what a new stream gets.
type place int

const (
	placeNone    place = iota // it is reset
	placeRefusal              // it is told that there is no place for it
	placePending              // a handshake
)

// enter gives a new stream a place among the handshakes, and a refusal, if there
// are not too many of these either, when there is none. Only a stream with a
// place is waited for by Close.
func (s *Server) enter(id protocol.ID, p peer.ID) (map[uint32]Method, place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, placeNone
	case s.pending < maxPending && s.pendings[p] < maxPendingPeer:
		s.pending++
		s.pendings[p]++
		s.work.Add(1)
		return s.services[id], placePending
	case s.refusals < maxPending:
		s.refusals++
		s.work.Add(1)
		return nil, placeRefusal
	}
	return nil, placeNone
}

// shaken frees the place of a handshake.
func (s *Server) shaken(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending--
	if s.pendings[p]--; s.pendings[p] == 0 {
		delete(s.pendings, p)
	}
}

// admit makes a session count, if there is a place for it. The peer's own limit
// comes first, so that culling makes room also where all places are taken: not
// for this client, whose place is free only when the culled session has ended,
// but for the next.
func (s *Server) admit(x *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := min(orDefault(s.cfg.MaxPeerSessions, x.rules.sessionsPerPeer), s.cfg.MaxSessions)
	if excess := len(s.sessions[x.peer]) + 1 - most; excess > 0 {
		if s.cfg.KeepOldest || !x.rules.controls {
			return false
		}
		s.cull(x.peer, excess)
	}
	if s.open >= s.cfg.MaxSessions {
		return false
	}
	s.open++
	s.sessions[x.peer] = append(s.sessions[x.peer], x)
	return true
}

// cull ends a peer's n oldest sessions, with mu held. Their places stay taken
// until they have ended.
func (s *Server) cull(p peer.ID, n int) {
	for _, old := range s.sessions[p][:n] {
		old.cancel(errCulled)
	}
	s.keep(p, s.sessions[p][n:])
}

// leave frees the place of a session that has ended.
func (s *Server) leave(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	s.keep(x.peer, slices.DeleteFunc(s.sessions[x.peer], func(o *session) bool { return o == x }))
}

func (s *Server) keep(p peer.ID, sessions []*session) {
	if len(sessions) == 0 {
		delete(s.sessions, p)
		return
	}
	s.sessions[p] = slices.Clone(sessions)
}

// serve runs on the goroutine of each inbound stream.
func (s *Server) serve(id protocol.ID, stream network.Stream) {
	p := stream.Conn().RemotePeer()
	methods, place := s.enter(id, p)
	if place == placeNone {
		_ = stream.Reset()
		return
	}
	defer s.work.Done()
	x := newSession(s, p, methods, stream)
	var err error
	if place == placeRefusal {
		err = x.refuse()
	} else {
		err = x.serve()
	}
	if s.cfg.OnEnd != nil {
		s.cfg.OnEnd(p, id, err)
	}
}
