package torctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestAuthentication(t *testing.T) {
	for _, c := range []struct {
		methods string
		auth    Auth
		fails   string // the method of the AuthError
	}{
		{"NULL", Auth{}, ""},
		{"NULL", Auth{Password: "not needed"}, ""},
		{"HASHEDPASSWORD", Auth{Password: "open sesame"}, ""},
		{"HASHEDPASSWORD", Auth{Password: "wrong"}, "password"},
		{"HASHEDPASSWORD", Auth{}, "password"},
		{"COOKIE", Auth{}, ""},
		{"COOKIE,SAFECOOKIE", Auth{}, ""},
		{"COOKIE,SAFECOOKIE,HASHEDPASSWORD", Auth{}, ""},
		{"COOKIE,SAFECOOKIE,HASHEDPASSWORD", Auth{Password: "open sesame"}, ""},
		{"COOKIE,SAFECOOKIE", Auth{CookieFile: "/does/not/exist"}, "cookie"},
		{"SOMETHINGNEW", Auth{}, "none"},
	} {
		t.Run(fmt.Sprintf("%s %v", c.methods, c.auth), func(t *testing.T) {
			f := newFakeTor(t, c.methods)
			ctl, err := DialControl(t.Context(), f.addr(), c.auth)
			if c.fails == "" {
				if err != nil {
					t.Fatal(err)
				}
				ctl.Close()
				return
			}
			var auth *AuthError
			if !errors.As(err, &auth) || auth.Method != c.fails || auth.Cure == "" {
				t.Errorf("got %v, want a failure of the %s", err, c.fails)
			}
		})
	}
}

// TestCures: whoever misconfigured something is told in one line what to do.
func TestCures(t *testing.T) {
	for _, c := range []struct {
		name, methods string
		auth          Auth
		want          []string
	}{
		{"a wrong password", "HASHEDPASSWORD", Auth{Password: "wrong"}, []string{"515", "give the password whose hash is HashedControlPassword in torrc"}},
		{"no password", "HASHEDPASSWORD", Auth{}, []string{"a password is needed", "give the password whose hash is HashedControlPassword in torrc"}},
		{"an unreadable cookie", "COOKIE,SAFECOOKIE", Auth{CookieFile: "/"}, []string{"let this user read the file", "or use a password"}}, // not even root reads a folder
		{"no cookie", "COOKIE", Auth{CookieFile: "/does/not/exist"}, []string{"/does/not/exist", "let this user read the file"}},
		{"another file", "COOKIE", Auth{CookieFile: "/dev/null"}, []string{"/dev/null has 0 bytes, not 32", "name Tor's own cookie file"}},
		{"no known method", "SOMETHINGNEW", Auth{}, []string{"set CookieAuthentication 1 in torrc"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeTor(t, c.methods)
			ctl, err := DialControl(t.Context(), f.addr(), c.auth)
			if err == nil {
				ctl.Close()
				t.Fatal("let in")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%q does not say %q in one line", err, part)
				}
			}
			if c.auth.Password != "" && strings.Contains(err.Error(), `"`+c.auth.Password+`"`) {
				t.Errorf("%q shows the password", err)
			}
		})
	}
}

// TestImpostor asks a port that does not know the cookie: it must not learn it.
func TestImpostor(t *testing.T) {
	f := newFakeTor(t, "COOKIE,SAFECOOKIE")
	f.set(func() { f.cookie = make([]byte, 32) }) // the file still has the right one
	_, err := DialControl(t.Context(), f.addr(), Auth{})
	var auth *AuthError
	if !errors.As(err, &auth) || f.auths != 0 {
		t.Errorf("got %v after %d authentications", err, f.auths)
	}
}

func TestNoTor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	var offline *OfflineError
	if _, err := DialControl(t.Context(), addr, Auth{}); !errors.As(err, &offline) {
		t.Errorf("nothing listens: %v", err)
	}
	if _, err := DialControl(t.Context(), filepath.Join(t.TempDir(), "socket"), Auth{}); !errors.As(err, &offline) {
		t.Errorf("no such socket: %v", err)
	}
}

// TestOtherServer asks servers that are no Tor at all.
func TestOtherServer(t *testing.T) {
	for name, answer := range map[string]string{
		"HTTP":     "HTTP/1.1 400 Bad Request\r\n\r\n",
		"SSH":      "SSH-2.0-OpenSSH_9.6\r\n",
		"nothing":  "",
		"endless":  strings.Repeat("250-x\r\n", maxAnswer),
		"no lines": strings.Repeat("x", 2*maxAnswer),
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				go func() { _, _ = io.Copy(io.Discard, c) }()
				_, _ = io.WriteString(c, answer)
			}()
			c, err := DialControl(t.Context(), l.Addr().String(), Auth{})
			_ = l.Close()
			if err == nil {
				c.Close()
				t.Error("took it for Tor")
			}
			<-done
		})
	}
}

func TestAsking(t *testing.T) {
	f := newFakeTor(t, "NULL")
	c, err := DialControl(t.Context(), f.addr(), Auth{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if v, err := c.Version(); err != nil || v != "0.4.9.9" {
		t.Error(v, err)
	}
	if v, err := c.SOCKS(); err != nil || v != "127.0.0.1:9050" {
		t.Error(v, err)
	}
	if n, s, err := c.Bootstrap(); err != nil || n != 75 || s != "Loaded enough" {
		t.Error(n, s, err)
	}
	if ids, err := c.Onions(); err != nil || len(ids) != 0 {
		t.Error(ids, err)
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config", "tor_id.json")
	k, err := LoadOrMakeKey(path, 18141)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadOrMakeKey(path, 18141)
	if err != nil || again.ServiceID() != k.ServiceID() || again.blob() != k.blob() {
		t.Fatalf("read back another key: %v", err)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	if err := SaveKey(path, k, 1); !errors.Is(err, fs.ErrExist) {
		t.Errorf("replaced a file: %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left files behind: %v", entries)
	}
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%#v", k), fmt.Sprintf("%+v", k)} {
		if strings.Contains(s, k.blob()[:8]) || !strings.Contains(s, "hidden") {
			t.Errorf("a key prints as %q", s)
		}
	}
	if a := k.Multiaddr(18141).String(); a != "/onion3/"+k.ServiceID()+":18141" {
		t.Error(a)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
		t.Errorf("readable by the group: %v", err)
	}
}

// TestKeyOfRust reads a key file in the form of the Rust node. The name of the
// service is computed from the key, so the two hold each other.
func TestKeyOfRust(t *testing.T) {
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	good := "// This file is generated\n" + `{"private_key":{"Ed25519V3":"` + k.blob() + `"},"service_id":"` + k.ServiceID() + `","onion_port":18141}`
	if got, err := parseKey([]byte(good), "f"); err != nil || got.blob() != k.blob() {
		t.Error(err)
	}
	for name, bad := range map[string]string{
		"no JSON":        "hello",
		"another name":   strings.Replace(good, k.ServiceID(), strings.Repeat("a", 56), 1),
		"an old service": strings.Replace(good, "Ed25519V3", "Rsa1024", 1),
		"a short key":    strings.Replace(good, k.blob(), "AAAA", 1),
		"no base64":      strings.Replace(good, k.blob(), "!", 1),
	} {
		if _, err := parseKey([]byte(bad), "f"); err == nil || strings.Contains(err.Error(), k.blob()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzKeyFile(f *testing.F) {
	f.Add([]byte("// c\n{\"private_key\":{\"Ed25519V3\":\"AAAA\"}}"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := parseKey(b, "f"); err == nil && len(k.ServiceID()) != 56 {
			t.Error("a key without a name")
		}
	})
}

func startService(t *testing.T, f *fakeTor, auth Auth) (*Service, Key) {
	t.Helper()
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(Config{Control: f.addr(), Auth: auth, Key: k, Target: "127.0.0.1:18189", Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, k
}

func waitUp(t *testing.T, s *Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.WaitUp(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestServiceSurvives takes Tor away in each way and looks for the same
// service, once, afterwards.
func TestServiceSurvives(t *testing.T) {
	f := newFakeTor(t, "COOKIE,SAFECOOKIE")
	s, k := startService(t, f, Auth{})
	waitUp(t, s)
	addr := f.addr()
	for name, change := range map[string]func(){
		"restart": func() {
			f.stop()
			eventually(t, "the loss is seen", func() bool { return !s.State().Up })
			f.listen(addr)
		},
		"a new cookie": func() {
			f.stop()
			eventually(t, "the loss is seen", func() bool { return !s.State().Up })
			f.cookie = []byte(strings.Repeat("n", 32))
			if err := os.WriteFile(f.file, f.cookie, 0o600); err != nil {
				t.Fatal(err)
			}
			f.listen(addr)
		},
		"a stalled control port": func() {
			f.set(func() { f.stall = true })
			eventually(t, "the stall is seen", func() bool { return !s.State().Up })
			f.set(func() { f.stall = false })
		},
		"a lost service": func() {
			f.set(func() { f.forget = true })
			eventually(t, "the loss is seen", func() bool { return !s.State().Up })
			f.set(func() { f.forget = false })
		},
		"moved SOCKS port": func() {
			f.set(func() { f.socks = "127.0.0.1:9999" })
			eventually(t, "the move is seen", func() bool { return s.State().SOCKS == "127.0.0.1:9999" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			change()
			waitUp(t, s)
			if ids := f.services(); len(ids) != 1 || ids[0] != k.ServiceID() {
				t.Errorf("services %v, want only %s", ids, k.ServiceID())
			}
		})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, add := range f.adds {
		if !strings.Contains(add, k.blob()) || !strings.Contains(add, "Port=18141,127.0.0.1:18189") || strings.Contains(add, "Detach") {
			t.Errorf("added %q", strings.ReplaceAll(add, k.blob(), "KEY"))
		}
	}
}

// TestServiceBeforeTor starts the service first and says what it waits for.
func TestServiceBeforeTor(t *testing.T) {
	f := newFakeTor(t, "NULL")
	addr := f.addr()
	f.stop()
	s, _ := startService(t, f, Auth{})
	var offline *OfflineError
	eventually(t, "it says that Tor is off", func() bool { return errors.As(s.State().Err, &offline) })
	f.listen(addr)
	waitUp(t, s)
	s.Close()
	eventually(t, "the service goes with its owner", func() bool { return len(f.services()) == 0 })
	if err := s.WaitUp(t.Context()); err != nil && !strings.Contains(err.Error(), "closed") {
		t.Error(err)
	}
}

// TestCloseInAnyState closes a service while Tor stalls.
func TestCloseInAnyState(t *testing.T) {
	f := newFakeTor(t, "NULL")
	f.set(func() { f.stall = true })
	s, _ := startService(t, f, Auth{})
	eventually(t, "it is asking", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.conns) > 0 })
	s.Close() // hangs if the stalled answer is waited for, and goleak sees what stays
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.WaitUp(ctx); err == nil {
		t.Error("up after Close")
	}
}

// TestOnState counts the calls of a service that comes up once.
func TestOnState(t *testing.T) {
	f := newFakeTor(t, "NULL")
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	s, err := Start(Config{Control: f.addr(), Key: k, Target: "127.0.0.1:1", Interval: time.Millisecond, OnState: func(st State) {
		if !st.Up {
			t.Errorf("state %+v", st)
		}
		calls.Add(1)
	}})
	if err != nil {
		t.Fatal(err)
	}
	waitUp(t, s)
	s.Close()
	if n := calls.Load(); n != 1 {
		t.Errorf("told %d times of one change", n)
	}
	if _, err := Start(Config{Target: "127.0.0.1:1"}); err == nil {
		t.Error("started without a key")
	}
	if _, err := Start(Config{Key: k}); err == nil {
		t.Error("started without a target")
	}
}
