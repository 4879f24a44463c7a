package webstatus

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tari-libp2p/tari-libp2p/internal/boundedhttp"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// Paths that a Server answers, besides those of what the page is made of.
const (
	PagePath = "/"
	JSONPath = "/status.json"
)

// Interval is how often the Source is asked. Clients get what it said last, so that they cost the node nothing.
const Interval = 2 * time.Second

// bounds are our choice: few browsers come, each with some connections, and all answers are short.
var bounds = boundedhttp.Limits{
	Connections: 16,
	HeaderBytes: 16 << 10,
	HeaderTime:  5 * time.Second,
	RequestTime: 10 * time.Second,
	IdleTime:    5 * time.Second,        // longer than a page waits between two requests
	CloseTime:   100 * time.Millisecond, // run has 2 s for all
}

// Source tells how a node is, as *node.Node does. It is asked every Interval, by one goroutine.
type Source interface {
	Overview() node.Overview
}

// Server answers until Close.
type Server struct {
	http     *boundedhttp.Server
	addr     net.Addr
	stop     context.CancelFunc
	watching sync.WaitGroup
}

// Serve serves the page of source on address, HOST:PORT, and the same as JSON with the given schema number. There is no password: an address that
// is not loopback's shows it to whoever can reach it. A request must name an IP address, localhost, or HOST. At most 16 connections are
// served at a time, each for at most 15 s without progress; more wait.
func Serve(address string, source Source, schema int) (*Server, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("status page: %w", err)
	}
	host, _, _ := net.SplitHostPort(address) // it was listened on
	return serveOn(listener, host, source, schema, bounds), nil
}

func serveOn(l net.Listener, host string, source Source, schema int, limits boundedhttp.Limits) *Server {
	w := newWatch(source, schema)
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{http: boundedhttp.Serve(l, guard(host, handler(w)), limits), addr: l.Addr(), stop: cancel}
	s.watching.Go(func() { w.run(ctx) })
	return s
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.addr }

// Close ends the server within a tenth of a second, whatever its clients do. An error says why it had ended before. It is called once.
func (s *Server) Close() error {
	s.stop()
	s.watching.Wait()
	if err := s.http.Close(); err != nil {
		return fmt.Errorf("status page: %w", err)
	}
	return nil
}

// watch asks the source, and keeps what it said last.
type watch struct {
	source  Source
	schema  int
	history history // of run alone
	last    atomic.Pointer[sample]
}

// newWatch has asked once.
func newWatch(source Source, schema int) *watch {
	w := &watch{source: source, schema: schema}
	w.ask()
	return w
}

func (w *watch) run(ctx context.Context) {
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.ask()
		case <-ctx.Done():
			return
		}
	}
}

func (w *watch) ask() {
	o := w.source.Overview()
	w.history.add(reading{o.Time, o.Messages.Received, o.Messages.Sent})
	r := reportOf(o, w.history.rates(Interval))
	w.last.Store(&sample{
		page: sync.OnceValues(func() ([]byte, error) { return page(viewOf(r)), nil }),
		json: sync.OnceValues(func() ([]byte, error) { return jsonOf(w.schema, r) }),
	})
}

// sample is a report as clients get it, rendered when the first one asks.
type sample struct {
	page, json func() ([]byte, error)
}

func jsonOf(schema int, r report) ([]byte, error) {
	text, err := json.Marshal(struct {
		Schema int `json:"schema"`
		report
	}{schema, r})
	return append(ascii(text), '\n'), err
}

// files are what the page is made of, and their types.
var files = map[string]string{
	"style.css": "text/css; charset=utf-8",
	"live.js":   "text/javascript; charset=utf-8",
	"icon.svg":  "image/svg+xml",
}

func handler(w *watch) http.Handler {
	mux := http.NewServeMux()
	answer := func(path, kind string, text func() ([]byte, error)) {
		mux.HandleFunc("GET "+path, func(out http.ResponseWriter, _ *http.Request) {
			body, err := text()
			if err != nil {
				http.Error(out, err.Error(), http.StatusInternalServerError)
				return
			}
			out.Header().Set("Content-Type", kind)
			_, _ = out.Write(body) // an error is that the client has gone
		})
	}
	answer(PagePath+"{$}", "text/html; charset=utf-8", func() ([]byte, error) { return w.last.Load().page() })
	answer(JSONPath, "application/json", func() ([]byte, error) { return w.last.Load().json() })
	for name, kind := range files {
		answer("/"+name, kind, func() ([]byte, error) { return assets.ReadFile("assets/" + name) })
	}
	return mux
}
