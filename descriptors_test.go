//go:build unix

package tari

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestDescriptorsRunOut runs a listener in a process of its own that has 64 file descriptors, all in use. Nobody gets in; once there
// are descriptors again, those who wait do, and so does everybody later.
func TestDescriptorsRunOut(t *testing.T) {
	if os.Getenv(fewDescriptors) != "" {
		listenWithoutDescriptors(t)
		return
	}
	ctx := testContext(t)
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestDescriptorsRunOut$", "-test.v")
	child.Env = append(os.Environ(), fewDescriptors+"=1")
	child.Stderr = os.Stderr
	commands, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	line := func(prefix string) string {
		t.Helper()
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				return rest
			}
			t.Log("child:", lines.Text())
		}
		t.Fatalf("the child ended before %q", prefix)
		return ""
	}
	at, err := ParseAddress(line("listening "))
	if err != nil {
		t.Fatal(err)
	}
	line("exhausted")
	waiting := make(chan error, 8)
	for range cap(waiting) {
		h := startHost(t, Config{})
		go func() { waiting <- h.Connect(ctx, at.AddrInfo()) }()
	}
	line("failing")
	io.WriteString(commands, "release\n")
	line("released")
	got := 0
	for range cap(waiting) {
		if err := <-waiting; err == nil {
			got++
		} else {
			t.Logf("while there was none: %v", err)
		}
	}
	t.Logf("%d of %d that waited got in", got, cap(waiting))
	later := startHost(t, Config{})
	if err := later.Connect(ctx, at.AddrInfo()); err != nil {
		t.Errorf("after the load: %v", err)
	}
	say(t, later, at.AddrInfo().ID, "after the load")
	commands.Close()
	for lines.Scan() {
		t.Log("child:", lines.Text())
	}
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}

const fewDescriptors = "TARI_LIBP2P_TEST_FEW_DESCRIPTORS"

// listenWithoutDescriptors is the child of TestDescriptorsRunOut.
func listenWithoutDescriptors(t *testing.T) {
	limit := syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	h := startHost(t, Config{Listen: loopback})
	fmt.Printf("listening %s::%s\n", h.PublicKey(), h.Addrs()[0])
	var held []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		held = append(held, f)
	}
	fmt.Println("exhausted")
	eventually(t, "accept fails", func() bool { return h.Refusals()[RefusedDescriptors] > 2 })
	fmt.Println("failing")
	commands := bufio.NewReader(os.Stdin)
	commands.ReadString('\n')
	for _, f := range held {
		f.Close()
	}
	fmt.Println("released")
	io.Copy(io.Discard, commands) // until the parent is done
}
