package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Handlers is what a server needs of a host: where streams of a protocol go.
// tari.Host and every host.Host of go-libp2p are one.
type Handlers interface {
	SetStreamHandler(protocol.ID, network.StreamHandler)
	RemoveStreamHandler(protocol.ID)
}

// ServerConfig is what NewServer needs to know. Its zero value serves as a base
// node of tari_comms 6 does.
type ServerConfig struct {
	Era Era // of all sessions; zero: of each session that of its connection
	// MaxSessions are the sessions at one time, all services together. 0 means
	// 100. A client beyond it is told that there is none left.
	MaxSessions int
	// MaxPeerSessions are those of one peer. 0 means 10 (Era Seed: 100). Beyond it
	// the peer's oldest session ends in favour of the new one (Era Seed: the new
	// one is refused).
	MaxPeerSessions int
	// KeepOldest makes a peer that has MaxPeerSessions be refused instead.
	KeepOldest bool
	// MaxDeadline is the most a client can ask for. 0 means 10 min, less than a
	// second a second.
	MaxDeadline time.Duration
	// Idle is how long a session may be without a call. 0 means 10 min. Pings do
	// not count as calls.
	Idle time.Duration
	// OnEnd is told when a session has ended, and why: nil if the client left
	// between two calls. Refused ones count as well. It is called on the stream's
	// goroutine and must not block. nil means that nobody is told.
	OnEnd func(from peer.ID, service protocol.ID, err error)
}

// Server serves methods over one host. It is made by NewServer and safe for
// concurrent use.
type Server struct {
	host   Handlers
	cfg    ServerConfig
	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc
	work   sync.WaitGroup // streams

	mu       sync.Mutex // guards what follows
	closed   bool
	services map[protocol.ID]map[uint32]Method
	pending  int // handshakes
	pendings map[peer.ID]int
	refusals int // answers to those beyond maxPending
	open     int // sessions that have not ended
	sessions map[peer.ID][]*session
}

// NewServer makes a server that serves nothing yet: see Register.
func NewServer(h Handlers, cfg ServerConfig) *Server {
	s := &Server{
		host:     h,
		services: make(map[protocol.ID]map[uint32]Method),
		pendings: make(map[peer.ID]int),
		sessions: make(map[peer.ID][]*session),
	}
	cfg.MaxSessions = orDefault(cfg.MaxSessions, maxSessions)
	cfg.MaxDeadline = max(orDefault(cfg.MaxDeadline, maxDeadline), time.Second)
	cfg.Idle = orDefault(cfg.Idle, idleTime)
	s.cfg = cfg
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// Register serves a service: the methods of one protocol id. A second call for
// the same id replaces the first for sessions that begin from then on. It fails
// if two methods have one number, or after Close.
func (s *Server) Register(id protocol.ID, methods ...Method) error {
	service := make(map[uint32]Method, len(methods))
	for _, m := range methods {
		if _, twice := service[m.number]; twice {
			return fmt.Errorf("rpc: %s has two methods %d", id, m.number)
		}
		service[m.number] = m
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("rpc: the server is closed")
	}
	s.services[id] = service
	s.host.SetStreamHandler(id, func(stream network.Stream) { s.serve(id, stream) })
	return nil
}

// Close takes the services off the host, ends all sessions and the contexts of
// their handlers, and waits for these to return.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		for id := range s.services {
			s.host.RemoveStreamHandler(id)
		}
		s.cancel(errClosed)
	}
	s.mu.Unlock()
	s.work.Wait()
	return nil
}

// Sessions returns how many sessions there are.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// PeerSessions returns how many a peer has, without those that are being ended.
func (s *Server) PeerSessions(p peer.ID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions[p])
}

// ClosePeer ends a peer's sessions, without waiting for them, and returns how
// many they were.
func (s *Server) ClosePeer(p peer.ID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.sessions[p])
	s.cull(p, n)
	return n
}
