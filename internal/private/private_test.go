//go:build unix

package private

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// underUmask runs f with a umask; it is the whole process's, so no test here is parallel.
func underUmask(mask int, f func()) {
	old := syscall.Umask(mask)
	defer syscall.Umask(old)
	f()
}

var writers = map[string]func(string, []byte) error{"create": Create, "replace": Replace}

func TestModeUnderEveryUmask(t *testing.T) {
	for name, write := range writers {
		for _, mask := range []int{0o000, 0o022, 0o077, 0o777} {
			t.Run(fmt.Sprintf("%s %03o", name, mask), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "secret")
				underUmask(mask, func() {
					if err := write(path, []byte("x")); err != nil {
						t.Fatal(err)
					}
				})
				if st, err := os.Lstat(path); err != nil || st.Mode() != 0o600 {
					t.Errorf("mode %v, %v", st.Mode(), err)
				}
				alone(t, path)
			})
		}
	}
}

// alone wants nothing but path in its folder.
func alone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("in the folder: %v, %v", entries, err)
	}
}

// TestOpenRefuses puts everything that is no file of ours alone at the path. Each refusal names the cure, none blocks, and
// what stands there is left as it is.
func TestOpenRefuses(t *testing.T) {
	chmod := func(mode fs.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) { try(t, os.WriteFile(path, nil, 0o600), os.Chmod(path, mode)) }
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T, path string)
		cure string // of the file P; "" = opens
	}{
		{"ours", chmod(0o600), ""},
		{"ours to read", chmod(0o400), ""},
		{"group reads", chmod(0o640), "chmod 600 P"},
		{"group writes", chmod(0o620), "chmod 600 P"},
		{"world reads", chmod(0o604), "chmod 600 P"},
		{"world runs", chmod(0o601), "chmod 600 P"},
		{"folder", func(t *testing.T, path string) { try(t, os.Mkdir(path, 0o700)) }, "mv P P.old"},
		{"FIFO", func(t *testing.T, path string) { try(t, syscall.Mkfifo(path, 0o600)) }, "mv P P.old"},
		{"socket", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			try(t, err)
			t.Cleanup(func() { l.Close() })
		}, "mv P P.old"},
		{"symbolic link", func(t *testing.T, path string) {
			try(t, os.WriteFile(path+".far", nil, 0o600), os.Symlink(path+".far", path))
		}, `mv -f "$(readlink -f P)" P`},
		{"symbolic link to nothing", func(t *testing.T, path string) { try(t, os.Symlink(path+".far", path)) }, `mv -f "$(readlink -f P)" P`},
		{"another owner", func(t *testing.T, path string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			try(t, os.WriteFile(path, nil, 0o600), os.Chown(path, 12345, 12345))
		}, "sudo chown $(id -u) P"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "private") // short, for the socket
			try(t, err)
			t.Cleanup(func() { os.RemoveAll(dir) })
			path := filepath.Join(dir, "p")
			c.make(t, path)
			before, err := os.Lstat(path)
			try(t, err)
			f, err := Open(path)
			if c.cure == "" {
				try(t, err, f.Close())
				return
			}
			var refused *Error
			if want := strings.ReplaceAll(c.cure, "P", path); !errors.As(err, &refused) || refused.Cure != want || !strings.HasSuffix(err.Error(), "; run: "+want) {
				t.Errorf("%v, want the cure %s", err, want)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) || before.Mode() != after.Mode() {
				t.Errorf("it was changed: %v, %v", after, err)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func try(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// The cures are commands for a shell; those that need no other user are run here, with a name that a shell would misread.
func TestCures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "it's $HOME; a file")
	for name, make := range map[string]func(){
		"open to others": func() { try(t, os.WriteFile(path, []byte("x"), 0o600), os.Chmod(path, 0o644)) },
		"link":           func() { try(t, os.WriteFile(path+".far", []byte("x"), 0o600), os.Symlink(path+".far", path)) },
	} {
		make()
		_, err := Open(path)
		var refused *Error
		if !errors.As(err, &refused) {
			t.Fatalf("%s: %v", name, err)
		}
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", refused.Cure).CombinedOutput(); err != nil {
			t.Fatalf("%s: %s: %v, %s", name, refused.Cure, err, out)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatalf("%s: the cure %s does not help: %v", name, refused.Cure, err)
		}
		f.Close()
		try(t, os.Remove(path))
	}
}

// Nothing is followed on the way to writing: not a link at the path, not one where the temporary file goes.
func TestWriteFollowsNoLink(t *testing.T) {
	for name, write := range writers {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path, precious := filepath.Join(dir, "secret"), filepath.Join(t.TempDir(), "precious")
			try(t, os.WriteFile(precious, []byte("precious"), 0o644), os.Symlink(precious, unfinished(path)))
			try(t, write(path, []byte("new")))
			try(t, os.Remove(path), os.Symlink(precious, path))
			if err := write(path, []byte("new")); name == "create" && !errors.Is(err, fs.ErrExist) || name == "replace" && err != nil {
				t.Errorf("over a link: %v", err)
			}
			if got, err := os.ReadFile(precious); err != nil || string(got) != "precious" {
				t.Errorf("a link was followed: %q, %v", got, err)
			}
			alone(t, path)
		})
	}
}

// TestKilled kills a process at random moments while it writes the same secret again and again. Whatever is at the path is
// whole, and after Clean nothing else is left. 20 times, 200 with TARI_LIBP2P_LONG.
func TestKilled(t *testing.T) {
	if path := os.Getenv("PRIVATE_WRITER"); path != "" {
		writeForEver(path)
	}
	program, err := os.Executable()
	try(t, err)
	kills := 20
	if os.Getenv("TARI_LIBP2P_LONG") != "" {
		kills = 200
	}
	path := filepath.Join(t.TempDir(), "secret")
	left := 0
	for range kills {
		child := exec.CommandContext(t.Context(), program, "-test.run=^TestKilled$")
		child.Env = append(os.Environ(), "PRIVATE_WRITER="+path)
		out, err := child.StdoutPipe()
		try(t, err)
		try(t, child.Start())
		if !bufio.NewScanner(out).Scan() { // it has begun
			t.Fatal("the writer said nothing")
		}
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond) // where the kill falls, not what is waited for
		try(t, child.Process.Kill())
		_ = child.Wait() // says that it was killed
		if _, err := os.Lstat(unfinished(path)); err == nil {
			left++
		}
		try(t, Clean(path))
		if got, err := os.ReadFile(path); err == nil {
			if string(got) != secretText {
				t.Fatalf("half a secret: %d bytes", len(got))
			}
			f, err := Open(path)
			try(t, err, f.Close())
			alone(t, path)
			try(t, os.Remove(path))
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	t.Logf("row: kill -9 while a secret is written | whole or not there, nothing else left | %d kills, %d left a file that Clean removed", kills, left)
}

var secretText = strings.Repeat("a secret of some length\n", 1000)

// writeForEver is the process that gets killed.
func writeForEver(path string) {
	fmt.Println("writing")
	for {
		_ = Create(path, []byte(secretText)) // a file may be there
		_ = os.Remove(path)
		_ = Replace(path, []byte(secretText))
	}
}
