package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBarOnATerminal: a crawl shows a bar where standard error is a terminal, and there alone.
func TestBarOnATerminal(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	defer master.Close()
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer terminal.Close()
	them := startRun(t, t.TempDir())
	var out strings.Builder
	if code := run(t.Context(), []string{"crawl", them.peer}, strings.NewReader(""), &out, terminal); code != exitOK {
		t.Errorf("%d: %s", code, &out)
	}
	shown := make([]byte, 4096)
	n, err := master.Read(shown)
	if err != nil || !strings.Contains(string(shown[:n]), "] 1 of 1 peer") || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q, %v; %q", shown[:n], err, &out)
	}
}
