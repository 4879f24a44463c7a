package peerbook

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestOpenAndReopen(t *testing.T) {
	dir := t.TempDir() + "/new/folder"
	b, err := Open(dir, Config{})
	must(t, err)
	for n := range 50 {
		must(t, b.Claimed(claim(t, n, 1_700_000_000, n), Meeting{Network: "igor", Dialed: addr(n)}))
	}
	must(t, b.Ban(id(7), time.Hour, "spam"))
	for n := range 50 { // these are written by Close, in one batch
		must(t, b.Dialed(id(n), addr(n), time.Second, nil))
	}
	want := b.List(nil)
	must(t, b.Close())

	b, err = Open(dir, Config{})
	must(t, err)
	if got := b.List(nil); !reflect.DeepEqual(got, want) {
		t.Error("the book differs after a restart")
	}
	must(t, b.Close())
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	b, err := Open(dir, Config{})
	must(t, err)
	var locked *LockedError
	if _, err := Open(dir, Config{}); !errors.As(err, &locked) || locked.Dir != dir {
		t.Errorf("a second Open: %v", err)
	}
	out, err := childCommand(t, dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use by another process") {
		t.Errorf("another process: %v, %s", err, out)
	}
	must(t, b.Close())
	b, err = Open(dir, Config{})
	must(t, err)
	must(t, b.Close())
}

func TestOpenErrors(t *testing.T) {
	file := t.TempDir() + "/file"
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := Open(file, Config{}); err == nil {
		t.Error("opened a file")
	}
}

func childCommand(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	return cmd
}

// child works on the book until it is killed, and says what is done.
func child(dir string) error {
	b, err := Open(dir, Config{})
	if err != nil {
		return err
	}
	for n := len(b.List(nil)); ; n++ {
		if err := b.Claimed(unsigned(n, n), Meeting{}); err != nil {
			return err
		}
		fmt.Println("claimed", n)
		switch n % 3 {
		case 0:
			err = b.Ban(id(n), Forever, "spam")
		case 1:
			err = errors.Join(b.Ban(id(n), Forever, "spam"), b.Unban(id(n)))
		default:
			continue
		}
		if err != nil {
			return err
		}
		fmt.Println("done", n)
	}
}

// Whatever the book has acknowledged is there after a sudden death.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for loop := range 5 {
		killAfter(t, dir, 20+7*loop, acknowledged)
		b, err := Open(dir, Config{})
		must(t, err)
		if s := b.Stats(); s.Corrupt != 0 {
			t.Errorf("loop %d: %d corrupt records", loop, s.Corrupt)
		}
		for line := range acknowledged {
			var what string
			var n int
			if _, err := fmt.Sscan(line, &what, &n); err != nil {
				t.Fatalf("the child said %q", line)
			}
			r, ok := b.Get(id(n))
			if !ok || len(r.Addresses) != 1 {
				t.Errorf("loop %d: lost peer %d", loop, n)
			}
			if banned := r.Banned(time.Now()); what == "done" && banned != (n%3 == 0) {
				t.Errorf("loop %d: peer %d banned: %v", loop, n, banned)
			}
		}
		must(t, b.Close())
	}
}

// killAfter lets the child work until it has said so many lines.
func killAfter(t *testing.T, dir string, lines int, acknowledged map[string]bool) {
	t.Helper()
	cmd := childCommand(t, dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	said := bufio.NewScanner(out)
	for range lines {
		if !said.Scan() {
			break
		}
		acknowledged[said.Text()] = true
	}
	must(t, cmd.Process.Kill())
	for said.Scan() { // what it said before it died counts too
		acknowledged[said.Text()] = true
	}
	_ = cmd.Wait() // "signal: killed"
	for line := range acknowledged {
		if strings.HasPrefix(line, "error") {
			t.Fatal(line)
		}
	}
}
