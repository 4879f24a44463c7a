package torctl

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cretz/bine/torutil/ed25519"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeTor plays Tor's control port: enough of the control specification for
// this package, with services that live as long as their connection.
type fakeTor struct {
	t        *testing.T
	methods  string // of PROTOCOLINFO
	password string
	cookie   []byte
	file     string // the cookie's

	mu     sync.Mutex
	l      net.Listener
	conns  map[net.Conn]map[string]bool // services by connection
	socks  string
	stall  bool // answers nothing more
	forget bool // onions/current is empty
	auths  int  // AUTHENTICATE seen
	adds   []string
	wg     sync.WaitGroup
}

func newFakeTor(t *testing.T, methods string) *fakeTor {
	f := &fakeTor{t: t, methods: methods, password: "open sesame", conns: map[net.Conn]map[string]bool{}, socks: "127.0.0.1:9050"}
	f.cookie = make([]byte, 32)
	for i := range f.cookie {
		f.cookie[i] = byte(i)
	}
	f.file = filepath.Join(t.TempDir(), `control auth "cookie"`)
	if err := os.WriteFile(f.file, f.cookie, 0o600); err != nil {
		t.Fatal(err)
	}
	f.listen("127.0.0.1:0")
	t.Cleanup(f.stop)
	return f
}

func (f *fakeTor) listen(addr string) {
	f.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	f.l = l
	f.mu.Unlock()
	f.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns[c] = map[string]bool{}
			f.mu.Unlock()
			f.wg.Go(func() { f.serve(c) })
		}
	})
}

func (f *fakeTor) addr() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.l.Addr().String()
}

// stop is Tor's end: nothing listens, every connection and service is gone.
func (f *fakeTor) stop() {
	f.mu.Lock()
	_ = f.l.Close()
	for c := range f.conns {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

// services are all that stand, over all connections.
func (f *fakeTor) services() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, ids := range f.conns {
		for id := range ids {
			out = append(out, id)
		}
	}
	return out
}

func (f *fakeTor) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeTor) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		f.mu.Lock()
		delete(f.conns, c)
		f.mu.Unlock()
	}()
	r := bufio.NewReader(c)
	var nonces [2][]byte
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		f.mu.Lock()
		answer := f.answer(c, strings.Fields(line), &nonces)
		if f.stall {
			answer = ""
		}
		f.mu.Unlock()
		if _, err := c.Write([]byte(answer)); err != nil {
			return
		}
	}
}

func (f *fakeTor) answer(c net.Conn, words []string, nonces *[2][]byte) string {
	if len(words) == 0 {
		return "510 Unrecognized command\r\n"
	}
	arg := strings.Join(words[1:], " ")
	switch words[0] {
	case "PROTOCOLINFO":
		cookie := ""
		if strings.Contains(f.methods, "COOKIE") {
			cookie = ` COOKIEFILE="` + strings.ReplaceAll(f.file, `"`, `\"`) + `"`
		}
		return "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=" + f.methods + cookie + "\r\n250-VERSION Tor=\"0.4.9.9\"\r\n250 OK\r\n"
	case "AUTHCHALLENGE":
		nonces[0], _ = hex.DecodeString(words[2])
		nonces[1] = make([]byte, 32)
		return fmt.Sprintf("250 AUTHCHALLENGE SERVERHASH=%X SERVERNONCE=%X\r\n", cookieHash(serverKey, f.cookie, nonces[0], nonces[1]), nonces[1])
	case "AUTHENTICATE":
		f.auths++
		ok := f.methods == "NULL" ||
			strings.Contains(f.methods, "HASHEDPASSWORD") && arg == hex.EncodeToString([]byte(f.password)) ||
			strings.Contains(f.methods, "SAFECOOKIE") && arg == hex.EncodeToString(cookieHash(clientKey, f.cookie, nonces[0], nonces[1])) ||
			f.methods == "COOKIE" && arg == hex.EncodeToString(f.cookie)
		if !ok {
			return "515 Authentication failed\r\n"
		}
	case "GETINFO":
		switch arg {
		case "version":
			return "250-version=0.4.9.9\r\n250 OK\r\n"
		case "net/listeners/socks":
			return "250-net/listeners/socks=\"unix:/run/tor/socks\" \"" + f.socks + "\"\r\n250 OK\r\n"
		case "status/bootstrap-phase":
			return "250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=75 TAG=enough_dirinfo SUMMARY=\"Loaded enough\"\r\n250 OK\r\n"
		case "onions/current":
			var ids []string
			for id := range f.conns[c] {
				ids = append(ids, id)
			}
			if f.forget {
				ids = nil
			}
			if len(ids) > 0 {
				return "250+onions/current=\r\n" + strings.Join(ids, "\r\n") + "\r\n.\r\n250 OK\r\n"
			}
			return "250-onions/current=\r\n250 OK\r\n"
		}
		return "552 Unrecognized key\r\n"
	case "ADD_ONION":
		_, blob, _ := strings.Cut(words[1], ":")
		secret, err := base64.StdEncoding.DecodeString(blob)
		if err != nil || len(secret) != 64 {
			return "513 Failed to decode ED25519-V3 key\r\n"
		}
		f.adds = append(f.adds, arg)
		id := Key{ed25519.PrivateKey(secret).KeyPair()}.ServiceID()
		for _, ids := range f.conns {
			if ids[id] {
				return "550 Onion address collision\r\n"
			}
		}
		f.conns[c][id] = true
		return "250-ServiceID=" + id + "\r\n250 OK\r\n"
	case "QUIT":
		return "250 closing connection\r\n"
	default:
		return "510 Unrecognized command\r\n"
	}
	return "250 OK\r\n"
}

// eventually waits for something that another goroutine brings about; the limit is for a test that hangs.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("never: " + what)
		}
	}
}
