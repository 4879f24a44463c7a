// Http serves net/http on the substreams of a host that speaks Tari, and asks
// it from another, by go-libp2p's own p2p/http: whatever is an http.Handler
// works, and the server knows by its key who asks.
//
//	go run ./http
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	libp2phttp "github.com/libp2p/go-libp2p/p2p/http"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// greeting is what the server serves: an application's name, by which a client asks under which path it is.
const greeting = "/example/greeting/1"

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run starts a server and a client, and prints the answer to a request.
func run(ctx context.Context, out io.Writer) error {
	serving, err := start()
	if err != nil {
		return err
	}
	defer serving.Close()
	server := &libp2phttp.Host{StreamHost: serving}
	server.SetHTTPHandler(greeting, http.HandlerFunc(greet))
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve() }) // until Close
	defer running.Wait()
	defer server.Close()
	if err := listens(ctx, serving); err != nil {
		return err
	}

	asking, err := start()
	if err != nil {
		return err
	}
	defer asking.Close()
	client, err := (&libp2phttp.Host{StreamHost: asking}).NamespacedClient(greeting, peer.AddrInfo{ID: serving.ID(), Addrs: serving.Addrs()})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "/hello", strings.NewReader("a question"))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\n%s\n", response.Status, body)
	return nil
}

// greet answers with what it was asked and by whom.
func greet(w http.ResponseWriter, r *http.Request) {
	question, err := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	if err != nil {
		http.Error(w, "your question did not arrive", http.StatusBadRequest)
		return
	}
	id, err := peer.Decode(r.RemoteAddr) // proven by the handshake of the connection
	if err != nil {
		http.Error(w, "who are you?", http.StatusBadRequest)
		return
	}
	key, err := tarikey.PublicKeyFromPeerID(id)
	if err != nil {
		http.Error(w, "you have no Tari key", http.StatusForbidden)
		return
	}
	fmt.Fprintf(w, "%s %s: hello %s, you asked %q", r.Method, r.URL.Path, key, question)
}

// listens waits until the server has registered its protocol.
func listens(ctx context.Context, host *tari.Host) error {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		for _, id := range host.Mux().Protocols() {
			if id == libp2phttp.ProtocolIDForMultistreamSelect {
				return nil
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func start() (*tari.Host, error) {
	return tari.New(tari.Config{
		Network:            dialect.Localnet,
		Listen:             []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
		AllowTestAddresses: true, // this is no public network
	})
}
