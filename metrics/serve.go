package metrics

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tari-libp2p/tari-libp2p/internal/boundedhttp"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// Path is where a Server answers.
const Path = "/metrics"

// bounds are our choice: few scrapers come, and each wants one short answer at a time.
var bounds = boundedhttp.Limits{
	Connections: 8,
	HeaderBytes: 8 << 10,
	HeaderTime:  5 * time.Second,
	RequestTime: 15 * time.Second,
	IdleTime:    5 * time.Second,        // a connection that waits for the next scrape keeps others out
	CloseTime:   100 * time.Millisecond, // run has 2 s for all
}

// Server answers scrapes until Close.
type Server struct {
	http *boundedhttp.Server
	addr net.Addr
}

// Serve answers GET /metrics on address, HOST:PORT, with what the collectors tell, the Go runtime, the process, and which build this is.
// There is no password: an address that is not loopback's shows it to whoever can reach it. At most 8 connections are served at a time,
// each for at most 20 s without progress; more wait.
func Serve(address string, of ...prometheus.Collector) (*Server, error) {
	registry, err := newRegistry(of...)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return serveOn(listener, registry, bounds), nil
}

func newRegistry(of ...prometheus.Collector) (*prometheus.Registry, error) {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": node.Version(), "go": runtime.Version()},
	})
	build.Set(1)
	registry := prometheus.NewRegistry()
	of = append(of, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, c := range of {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return registry, nil
}

func serveOn(l net.Listener, registry *prometheus.Registry, limits boundedhttp.Limits) *Server {
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true}))
	return &Server{http: boundedhttp.Serve(l, mux, limits), addr: l.Addr()}
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.addr }

// Close ends the server within a tenth of a second, scrapes under way too. An error says why it had ended before. It is called once.
func (s *Server) Close() error {
	if err := s.http.Close(); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}
