package peerbook

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

const namespaceEnv = "TARI_PEERBOOK_TMPFS"

// inTmpfs runs the test once more in a process with mounts of its own, and there
// gives it a disk of that size in memory; in the first process it gives "".
func inTmpfs(t *testing.T, size string) (dir string) {
	t.Helper()
	if dir := os.Getenv(namespaceEnv); dir != "" {
		must(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")) // nobody else sees it
		must(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size))
		return dir
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), namespaceEnv+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &ended):
		t.Fatalf("in a process of its own: %v\n%s", err, out)
	case os.Geteuid() == 0 && os.Getenv("CI") == "true":
		t.Fatalf("this system lets root have no mounts of its own: %v", err)
	}
	t.Skipf("this system lets us have no mounts of our own: %v", err)
	return ""
}

// A disk that is too small is told before anything is written to it.
func TestSmallDisk(t *testing.T) {
	dir := inTmpfs(t, "8m")
	if dir == "" {
		return
	}
	for range 2 {
		var full *FullError
		if b, err := Open(dir, Config{}); !errors.As(err, &full) || !errors.Is(err, syscall.ENOSPC) || full.Free > 8<<20 || full.Need < workSpace {
			t.Fatalf("Open: %v, %v", b, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%d files, %v", len(left), err)
	}
}

// When the disk fills up under the book, changes fail but hold, the process
// goes on, and all is written once there is room.
func TestDiskFillsUp(t *testing.T) {
	dir := inTmpfs(t, "48m")
	if dir == "" {
		return
	}
	book, filler := filepath.Join(dir, "book"), filepath.Join(dir, "filler")
	b, err := Open(book, Config{})
	must(t, err)
	must(t, b.Put(Record{Key: key(1), Addresses: in(1, 1)}))
	fill(t, filler)
	var full *FullError
	if err := b.Ban(id(1), Forever, "spam"); !errors.As(err, &full) {
		t.Errorf("Ban: %v", err)
	}
	if err := b.Claimed(unsigned(2, 2), Meeting{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Claimed: %v", err)
	}
	if _, banned := b.Banned(id(1)); !banned {
		t.Error("the ban does not hold")
	}
	must(t, os.Remove(filler))
	must(t, b.Put(Record{Key: key(3), Addresses: in(3, 3)}))
	must(t, b.Close())
	b, err = Open(book, Config{})
	must(t, err)
	if s := b.Stats(); s != (Stats{Peers: 3, Welcome: 2, Banned: 1}) {
		t.Errorf("after a restart: %+v", s)
	}
	must(t, b.Close())
}

// fill writes a file until there is no room.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	for block := make([]byte, 1<<16); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	dir := inTmpfs(t, "64m")
	if dir == "" {
		return
	}
	book := filepath.Join(dir, "book")
	b, err := Open(book, Config{})
	must(t, err)
	must(t, b.Put(Record{Key: key(1), Addresses: in(1, 1)}))
	must(t, b.Close())
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	for _, name := range []string{book, filepath.Join(dir, "new")} {
		var readOnly *ReadOnlyError
		if b, err := Open(name, Config{}); !errors.As(err, &readOnly) || readOnly.Dir != name || !errors.Is(err, syscall.EROFS) {
			t.Errorf("Open: %v, %v", b, err)
		}
	}
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT, ""))
	b, err = Open(book, Config{})
	must(t, err)
	if s := b.Stats(); s != (Stats{Peers: 1, Welcome: 1}) {
		t.Errorf("%+v", s)
	}
	must(t, b.Close())
}
