//go:build unix

package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// controlled is a node that serves its control socket, and the socket.
func controlled(t *testing.T, start bool) (*Node, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "control") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cfg := Config{DataDir: filepath.Join(dir, "node"), Listen: loopback(), AllowTestAddresses: true}
	var n *Node
	if start {
		n = startNode(t, cfg)
	} else if n, err = Open(cfg); err != nil {
		t.Fatal(err)
	} else {
		t.Cleanup(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if err := n.ServeControl(); err != nil {
		t.Fatal(err)
	}
	return n, filepath.Join(cfg.DataDir, controlName)
}

// over makes requests on a socket, each on a connection of its own.
func over(t *testing.T, socket string) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// ask makes one request and returns its status and its answer.
func ask(t *testing.T, c *http.Client, method, target string, body io.Reader) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(testContext(t), method, "http://node"+target, body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	_ = json.Unmarshal(text, &answer) // what is no object stays nil
	return response.StatusCode, answer
}

// TestControlRequests makes every request over a real socket, rightly and wrongly, of a node that runs and of a folder.
func TestControlRequests(t *testing.T) {
	const far = "704ee6eb7c568c9c4220c92a3124bb69a53c05ec2ffd3ab06f4f78ddfde6b175"
	const peer = "?peer=" + far
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running %v", running), func(t *testing.T) {
			_, socket := controlled(t, running)
			client := over(t, socket)
			whenRunning := func(status int) int {
				if running {
					return status
				}
				return http.StatusInternalServerError // nothing runs that could
			}
			for _, c := range []struct {
				method, target, body string
				status               int
				field                string // that the answer has
			}{
				{"GET", "/v1/status", "", 200, "running"},
				{"GET", "/v1/overview", "", 200, "messages"},
				{"GET", "/v1/identity", "", 200, "public_key"},
				{"GET", "/v1/peers", "", 200, "peers"},
				{"GET", "/v1/bans", "", 200, "bans"},
				{"GET", "/v1/peer" + peer, "", 404, "error"},
				{"DELETE", "/v1/peers" + peer, "", 404, "error"},
				{"POST", "/v1/peers" + peer + "::/ip4/203.0.113.7/tcp/18189", "", 200, "addresses"},
				{"POST", "/v1/peers" + peer, "", 400, "failure"},
				{"GET", "/v1/peer" + peer, "", 200, "address_info"},
				{"GET", "/v1/peer?peer=704e", "", 200, "address_info"},
				{"POST", "/v1/bans" + peer + "&seconds=60&reason=test", "", 200, "banned"},
				{"POST", "/v1/bans" + peer + "&seconds=soon", "", 400, "error"},
				{"POST", "/v1/bans" + peer, "", 400, "error"},
				{"DELETE", "/v1/bans" + peer, "", 200, "was_banned"},
				{"DELETE", "/v1/bans", "", 400, "error"},
				{"DELETE", "/v1/bans?all=true", "", 200, "lifted"},
				{"DELETE", "/v1/bans?all=yes", "", 400, "error"},
				{"DELETE", "/v1/bans" + peer + "&all=true", "", 400, "error"},
				{"GET", "/v1/allowed", "", 200, "peers"},
				{"POST", "/v1/allowed", `["` + far + `"]`, 200, "peers"},
				{"POST", "/v1/allowed" + peer, "", 400, "failure"},
				{"POST", "/v1/allowed", `["nobody"]`, 400, "failure"},
				{"POST", "/v1/allowed", `[]`, 400, "failure"},
				{"POST", "/v1/allowed", `[7]`, 400, "failure"},
				{"POST", "/v1/allowed", `["` + strings.Repeat("0", maxNamesBody) + `"]`, 400, "failure"},
				{"DELETE", "/v1/allowed", `["` + far[:8] + `"]`, 200, "peers"},
				{"DELETE", "/v1/allowed", `["00000000"]`, 404, "failure"},
				{"DELETE", "/v1/peers" + peer, "", 200, "public_key"},
				{"POST", "/v1/send?peer=nobody", "x", whenRunning(400), "failure"},
				{"POST", "/v1/send" + peer, strings.Repeat("x", tariproto.MaxFrame+1), 400, "failure"},
				{"POST", "/v1/dial?peer=nobody", "", whenRunning(400), "failure"},
				{"POST", "/v1/seeds", `["` + far + `::/ip4/203.0.113.7/tcp/18189"]`, 200, "added"},
				{"POST", "/v1/seeds", `["` + far + `"]`, 400, "failure"},
				{"POST", "/v1/seeds", `["nobody"]`, 400, "failure"},
				{"POST", "/v1/seeds?peer=" + far, "", 400, "failure"},
				{"POST", "/v1/book?format=json", "this is no JSON", 200, "bad"}, // a bad line; the client says that nothing was taken,
				{"POST", "/v1/book?format=csv", "nor, a, book", 400, "error"},
				{"POST", "/v1/book?format=poem", "", 400, "error"},
				{"GET", "/v1/book?format=poem", "", 400, "error"},
				{"GET", "/v1/nothing", "", 404, ""},
				{"GET", "/v2/status", "", 404, ""},
				{"GET", "/", "", 404, ""},
				{"POST", "/v1/status", "", 405, ""},
				{"PUT", "/v1/peers", "", 405, ""},
			} {
				status, answer := ask(t, client, c.method, c.target, strings.NewReader(c.body))
				if _, ok := answer[c.field]; status != c.status || !ok && c.field != "" {
					t.Errorf("%s %.60s: %d %v, want %d and %q", c.method, c.target, status, answer, c.status, c.field)
				}
				if status >= 400 && c.field != "" && (answer["failure"] == nil || answer["error"] == "") {
					t.Errorf("%s %.60s: %v is no failure", c.method, c.target, answer)
				}
			}
		})
	}
}

// What is no HTTP at all costs nobody else anything.
func TestControlNoise(t *testing.T) {
	_, socket := controlled(t, false)
	for _, noise := range []string{"", "\x00\x01\x02\x03\r\n\r\n", "GET\r\n\r\n", "{\"status\":true}\r\n\r\n", "POST /v1/peers HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"} {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(noise)); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || len(answer) > 0 && !bytes.Contains(answer, []byte("400 Bad Request")) {
			t.Errorf("%q: %q, %v", noise, answer, err)
		}
		conn.Close()
		if status, _ := ask(t, over(t, socket), "GET", "/v1/status", nil); status != 200 {
			t.Errorf("after %q: %d", noise, status)
		}
	}
}

// A request whose head is larger than the limit is refused; the server does not read the rest of it.
func TestControlLargeHead(t *testing.T) {
	_, socket := controlled(t, false)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	head := "GET /v1/status?" + strings.Repeat("x", 4*controlHeaderBytes)
	_, _ = conn.Write([]byte(head)) // the server may end it before it is all written
	// More is never asked for. What was not read may turn the end into a reset.
	if answer, err := io.ReadAll(conn); !bytes.Contains(answer, []byte("431 ")) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, %v", answer, err)
	}
	if status, _ := ask(t, over(t, socket), "GET", "/v1/status", nil); status != 200 {
		t.Errorf("then: %d", status)
	}
}

// More clients than are served at a time all get their answers, and all changes hold.
func TestControlManyClients(t *testing.T) {
	n, socket := controlled(t, false)
	client := over(t, socket)
	const clients = 3 * controlConnections
	keys := make([]string, clients)
	for i := range keys {
		keys[i] = newKey(t).String()
	}
	var all sync.WaitGroup
	for _, key := range keys {
		all.Go(func() {
			response, err := client.Post("http://node/v1/peers?peer="+key+"::/ip4/203.0.113.7/tcp/1", "", nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Error(response.Status)
			}
		})
	}
	all.Wait()
	if list, err := n.ListPeers(t.Context()); err != nil || len(list.Peers) != clients {
		t.Errorf("%d peers of %d, %v", len(list.Peers), clients, err)
	}
}

// A watcher that goes away is forgotten, one that stays sees the end of the node.
func TestWatchersComeAndGo(t *testing.T) {
	n, socket := controlled(t, true)
	watching := func() int {
		n.watchers.mu.Lock()
		defer n.watchers.mu.Unlock()
		return len(n.watchers.all)
	}
	watch := func(ctx context.Context) *http.Response {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://node/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := over(t, socket).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	ctx, goAway := context.WithCancel(testContext(t))
	gone, stays := watch(ctx), watch(testContext(t))
	defer gone.Body.Close()
	defer stays.Body.Close()
	eventually(t, "two watch", func() bool { return watching() == 2 })
	goAway()
	eventually(t, "one watches", func() bool { return watching() == 1 })

	key := newKey(t)
	if _, err := n.Ban(t.Context(), key.String(), time.Hour, "x"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stays.Body)
	var e Event
	for e.Kind != EventBanned && lines.Scan() {
		if text := lines.Bytes(); len(text) > 0 {
			if err := json.Unmarshal(text, &e); err != nil {
				t.Fatalf("%v in %q", err, text)
			}
		}
	}
	if e.Peer != key.String() {
		t.Errorf("saw %+v, %v", e, lines.Err())
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	for lines.Scan() { // what was told before the end
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the end of the node looks like a fault: %v", err)
	}
}

// TestFilesOfANode: whatever the umask, a node's files are its user's alone.
func TestFilesOfANode(t *testing.T) {
	for _, mask := range []int{0o000, 0o077} {
		t.Run(fmt.Sprintf("umask %03o", mask), func(t *testing.T) {
			old := syscall.Umask(mask) // the whole process's: no test here is parallel
			defer syscall.Umask(old)
			n, socket := controlled(t, true)
			for path, want := range map[string]fs.FileMode{
				n.config.DataDir:               fs.ModeDir | 0o700,
				IdentityFile(n.config.DataDir): 0o600,
				socket:                         fs.ModeSocket | 0o600,
			} {
				if st, err := os.Lstat(path); err != nil || st.Mode() != want {
					t.Errorf("%s: %v, %v; want %v", path, st.Mode(), err, want)
				}
			}
		})
	}
}

// What a process left that was killed while it wrote the identity does not stay: it holds the secret.
func TestNoSecretIsLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "id.json")
	id, _, err := LoadOrCreateIdentity(path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(path, filepath.Join(filepath.Dir(path), ".id.json.tmp")); err != nil {
		t.Fatal(err)
	}
	if again, _, err := LoadOrCreateIdentity(path, time.Now()); err != nil || !again.Key.Equal(id.Key) {
		t.Fatalf("read back: %v", err)
	}
	onlyFile(t, path)
}
