// Package boundedhttp serves HTTP on a listener to the few clients that a node has besides its peers: commands, scrapers. Whatever they do
// or leave undone, they hold no more than Limits, and Close ends them in time.
package boundedhttp

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Limits bounds what clients can hold. Every field counts; none has a default.
type Limits struct {
	Connections int           // at a time; more wait to be accepted
	HeaderBytes int           // method, path, headers
	HeaderTime  time.Duration // to send them
	RequestTime time.Duration // for a whole request and its answer
	IdleTime    time.Duration // between requests of one connection
	CloseTime   time.Duration // for running requests to end at Close, before they are cut
}

// Server serves until Close.
type Server struct {
	http      *http.Server
	closeTime time.Duration
	done      chan error
}

// Serve serves what handler answers on l, which is the server's from now on.
func Serve(l net.Listener, handler http.Handler, limits Limits) *Server {
	s := &Server{closeTime: limits.CloseTime, done: make(chan error, 1)}
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: limits.HeaderTime,
		ReadTimeout:       limits.RequestTime,
		WriteTimeout:      limits.RequestTime,
		IdleTimeout:       limits.IdleTime,
		MaxHeaderBytes:    limits.HeaderBytes,
	}
	go func() { s.done <- s.http.Serve(netutil.LimitListener(l, limits.Connections)) }()
	return s
}

// Close closes the listener, lets running requests end for at most Limits.CloseTime, and cuts them. An error says why the server had
// ended before. It is called once.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.closeTime)
	defer cancel()
	_ = s.http.Shutdown(ctx) // an error is that time is up
	err := <-s.done
	s.http.Close() // cuts what still runs, and what was accepted in the last moment
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
