package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tari-libp2p/tari-libp2p/internal/boundedhttp"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// Limits of the control API, our choice. It serves one user's commands, not the network.
const (
	controlName        = "control.sock"
	controlConnections = 16               // at a time; more wait
	controlHeaderBytes = 16 << 10         // method, path, headers
	controlHeaderTime  = 5 * time.Second  // to send them
	controlRequestTime = 5 * time.Minute  // for a whole request and its answer
	controlIdleTime    = 30 * time.Second // between requests of one connection
	controlCloseTime   = time.Second      // for running requests to end when the node closes
	maxSocketPath      = 103              // macOS and the BSDs; Linux takes 107
)

// serveControl serves the API of a folder, or of the node that runs in it, on control.sock in dir, a socket that only its user can
// open. The caller owns dir, so one that is there was left by a process that died.
func serveControl(dir string, handler http.Handler) (*boundedhttp.Server, error) {
	path, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("node: control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("node: control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("node: control socket: %w", err)
	}
	return boundedhttp.Serve(listener, handler, boundedhttp.Limits{
		Connections: controlConnections,
		HeaderBytes: controlHeaderBytes,
		HeaderTime:  controlHeaderTime,
		RequestTime: controlRequestTime,
		IdleTime:    controlIdleTime,
		CloseTime:   controlCloseTime,
	}), nil
}

// socketPath is the control socket of dir, relative to the working directory if only that is short enough for a Unix
// socket.
func socketPath(dir string) (string, error) {
	path := filepath.Join(dir, controlName)
	if len(path) <= maxSocketPath {
		return path, nil
	}
	if wd, err := os.Getwd(); err == nil {
		if abs, err := filepath.Abs(path); err == nil {
			if rel, err := filepath.Rel(wd, abs); err == nil && len(rel) <= maxSocketPath {
				return rel, nil
			}
		}
	}
	return "", fmt.Errorf("node: %s is %d bytes long and a Unix socket may have %d: choose a shorter data folder", path, len(path), maxSocketPath)
}

// controlHandler answers the control API for a node or, when n.Host is nil, for a data folder without one:
//
//	GET  /v1/status              → Status
//	GET  /v1/overview            → Overview
//	GET  /v1/identity            → IdentityInfo
//	GET  /v1/log                 → LogLevels
//	PUT  /v1/log?levels=TEXT     → LogLevels      as it is then
//	GET  /v1/peers               → PeerList       ?prefix=TEXT&limit=N: only so many, whose key or node id begins so
//	POST /v1/peers?peer=P        → PeerInfo       P = PUBKEY::ADDR[::ADDR]
//	POST /v1/seeds        body   → {"added":N}    of a JSON array of such P, at most 8 MiB
//	GET  /v1/peer?peer=P         → PeerDetail
//	DELETE /v1/peers?peer=P      → Removed
//	POST /v1/send?peer=P  body   → Sent           the message, at most 8 MiB
//	POST /v1/dial?peer=P         → Dialed
//	GET  /v1/events              → an Event a line, as they come
//	GET  /v1/bans                → BanList
//	POST /v1/bans?peer=P&seconds=N&reason=TEXT → Banned     N = 0: forever
//	DELETE /v1/bans?peer=P       → Unbanned
//	DELETE /v1/bans?all=true     → UnbannedAll
//	GET  /v1/allowed             → AllowList
//	POST /v1/allowed      body   → AllowChanges   of a JSON array of P, at most 1 MiB: put on the allow list
//	DELETE /v1/allowed    body   → AllowChanges   of the same: taken off it
//	GET  /v1/book?format=F       → the whole peer book, F = json or csv
//	POST /v1/book?format=F  body → Imported       what GET gave
//
// P is also a key, a node id or the beginning of one, but where a peer is added.
// An error is a Failure in JSON, with an HTTP status to match.
func controlHandler(n *Node) http.Handler {
	mux := http.NewServeMux()
	handle(mux, "GET /v1/status", func(*http.Request) (any, error) { return n.Status() })
	handle(mux, "GET /v1/overview", func(*http.Request) (any, error) { return n.Overview(), nil })
	handle(mux, "GET /v1/identity", func(*http.Request) (any, error) { return n.IdentityInfo(), nil })
	handle(mux, "GET /v1/log", func(*http.Request) (any, error) { return n.logLevels("") })
	handle(mux, "PUT /v1/log", func(r *http.Request) (any, error) { return n.logLevels(r.URL.Query().Get("levels")) })
	handle(mux, "GET /v1/peers", func(r *http.Request) (any, error) { return n.listPeers(r.URL.Query()) })
	handle(mux, "POST /v1/peers", func(r *http.Request) (any, error) {
		return n.AddPeer(r.Context(), r.URL.Query().Get("peer"))
	})
	handle(mux, "GET /v1/peer", func(r *http.Request) (any, error) {
		return n.GetPeer(r.Context(), r.URL.Query().Get("peer"))
	})
	handle(mux, "POST /v1/seeds", func(r *http.Request) (any, error) { return n.addSeeds(r.Body) })
	handle(mux, "DELETE /v1/peers", func(r *http.Request) (any, error) {
		return n.RemovePeer(r.Context(), r.URL.Query().Get("peer"))
	})
	handle(mux, "POST /v1/send", func(r *http.Request) (any, error) {
		message, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, tariproto.MaxFrame))
		if err != nil {
			return nil, fail(FailUsage, fmt.Errorf("node: message: %w", err))
		}
		return n.Send(r.Context(), r.URL.Query().Get("peer"), message)
	})
	handle(mux, "POST /v1/dial", func(r *http.Request) (any, error) {
		return n.Dial(r.Context(), r.URL.Query().Get("peer"))
	})
	mux.HandleFunc("GET /v1/events", n.serveEvents)
	handle(mux, "GET /v1/bans", func(r *http.Request) (any, error) { return n.ListBans(r.Context()) })
	handle(mux, "POST /v1/bans", func(r *http.Request) (any, error) {
		q := r.URL.Query()
		d, err := banTime(q.Get("seconds"))
		if err != nil {
			return nil, err
		}
		return n.Ban(r.Context(), q.Get("peer"), d, q.Get("reason"))
	})
	handle(mux, "DELETE /v1/bans", func(r *http.Request) (any, error) { return n.liftBans(r.Context(), r.URL.Query()) })
	handle(mux, "GET /v1/allowed", func(r *http.Request) (any, error) { return n.ListAllowed(r.Context()) })
	handle(mux, "POST /v1/allowed", func(r *http.Request) (any, error) { return forNames(r, n.Allow) })
	handle(mux, "DELETE /v1/allowed", func(r *http.Request) (any, error) { return forNames(r, n.Disallow) })
	mux.HandleFunc("GET /v1/book", n.serveExport)
	handle(mux, "POST /v1/book", func(r *http.Request) (any, error) {
		return n.importPeers(peerbook.Format(r.URL.Query().Get("format")), r.Body)
	})
	return mux
}

// liftBans is Unban or, with all=true and no peer, UnbanAll.
func (n *Node) liftBans(ctx context.Context, q url.Values) (any, error) {
	switch all := q.Get("all"); {
	case all == "":
		return n.Unban(ctx, q.Get("peer"))
	case all != "true" || q.Has("peer"):
		return nil, fail(FailUsage, errors.New("node: unban: either a peer, or all=true"))
	}
	return n.UnbanAll(ctx)
}

// banTime reads the length of a ban in seconds; 0, or more than can be counted, is forever.
func banTime(seconds string) (time.Duration, error) {
	n, err := strconv.ParseUint(seconds, 10, 63)
	if err != nil {
		return 0, fail(FailUsage, errors.New("node: seconds is not a number of seconds; 0 is forever"))
	}
	if n == 0 || n > uint64(peerbook.Forever/time.Second) {
		return peerbook.Forever, nil
	}
	return time.Duration(n) * time.Second, nil
}

func handle(mux *http.ServeMux, pattern string, f func(*http.Request) (any, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		answer, err := f(r)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			failure := FailureOf(err)
			w.WriteHeader(failure.Kind.httpStatus())
			answer = failure
		}
		// An error here means that the client has gone.
		_ = json.NewEncoder(w).Encode(answer)
	})
}
