package torctl

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Config of a Service. Key and Target are needed.
type Config struct {
	Control  string        // Tor's control port, host:port or a Unix socket's path; empty: 127.0.0.1:9051
	Auth     Auth          // how to authenticate
	Key      Key           // of the onion service
	Port     uint16        // the port in the onion address; 0: 18141
	Target   string        // host:port where Tor delivers
	Interval time.Duration // between two looks at a service that is up; 0: 2 s
	OnState  func(State)   // told of every change, on the service's goroutine; may be nil
}

// State is how the service stands.
type State struct {
	Up     bool     // Tor has the service
	SOCKS  string   // Tor's SOCKS port, when Up
	Onions []string // what Tor lists as the services of our control connection, when Up: ours and no other
	Err    error    // what it waits for, when not Up
}

// Service is an onion service that is kept up. Close ends it.
type Service struct {
	cfg    Config
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	state State
	wake  chan struct{} // closed at each change
}

// errStarting is the state before the first answer of Tor.
var errStarting = errors.New("torctl: connecting to Tor")

// Start begins to keep the service up and returns at once: Tor need not run yet.
func Start(cfg Config) (*Service, error) {
	if cfg.Key.pair == nil || cfg.Target == "" {
		return nil, errors.New("torctl: a service needs a key and a target")
	}
	if cfg.Control == "" {
		cfg.Control = "127.0.0.1:9051"
	}
	if cfg.Port == 0 {
		cfg.Port = 18141
	}
	if cfg.Interval == 0 {
		cfg.Interval = 2 * time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Service{cfg: cfg, cancel: cancel, done: make(chan struct{}), state: State{Err: errStarting}, wake: make(chan struct{})}
	go s.run(ctx)
	return s, nil
}

// Close takes the service down and waits until its goroutine has ended, which a Tor that stalls does not delay.
func (s *Service) Close() {
	s.cancel()
	<-s.done
}

// State is how the service stands now.
func (s *Service) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// WaitUp waits until Tor has the service. When ctx ends before, the error says what Tor lacked.
func (s *Service) WaitUp(ctx context.Context) error {
	for {
		s.mu.Lock()
		state, wake := s.state, s.wake
		s.mu.Unlock()
		if state.Up {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", state.Err, ctx.Err())
		case <-s.done:
			return errors.New("torctl: the service is closed")
		}
	}
}

func (s *Service) set(state State) {
	s.mu.Lock()
	changed := state.Up != s.state.Up || state.SOCKS != s.state.SOCKS || fmt.Sprint(state.Err) != fmt.Sprint(s.state.Err)
	s.state = state
	if changed {
		close(s.wake)
		s.wake = make(chan struct{})
	}
	s.mu.Unlock()
	if changed && s.cfg.OnState != nil {
		s.cfg.OnState(state)
	}
}

// run connects, serves until the connection fails, and connects again. A port
// that refuses costs half a second to two, a Tor that refuses us four to six: no storm.
func (s *Service) run(ctx context.Context) {
	defer close(s.done)
	for wait := 500 * time.Millisecond; ; {
		up, err := s.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		s.set(State{Err: err})
		if up {
			wait = 500 * time.Millisecond
		}
		var auth *AuthError
		if errors.As(err, &auth) {
			wait = 5 * time.Second
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait*4/5 + rand.N(wait*2/5)):
		}
		wait = min(2*wait, 2*time.Second)
	}
}

// serve is one control connection's life. The service goes with the connection
// (it is not detached), so there can never be two. up is whether the service stood.
func (s *Service) serve(ctx context.Context) (up bool, err error) {
	c, err := DialControl(ctx, s.cfg.Control, s.cfg.Auth)
	if err != nil {
		return false, err
	}
	defer c.Close()
	if err := c.addOnion(s.cfg.Key, s.cfg.Port, s.cfg.Target); err != nil {
		return false, err
	}
	for {
		socks, err := c.SOCKS()
		if err != nil {
			return up, err
		}
		ids, err := c.Onions()
		if err != nil {
			return up, err
		}
		if !slices.Contains(ids, s.cfg.Key.ServiceID()) {
			return up, errors.New("torctl: Tor no longer has the service")
		}
		s.set(State{Up: true, SOCKS: socks, Onions: ids})
		up = true
		select {
		case <-ctx.Done():
			return up, ctx.Err()
		case <-time.After(s.cfg.Interval):
		}
	}
}
