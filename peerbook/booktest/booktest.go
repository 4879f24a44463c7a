// Package booktest kills a process that works on a peer book, over and over,
// and looks whether everything that the book had acknowledged is still there.
// It is for tests of engines under the book: see Kill, and call Child first in
// TestMain.
package booktest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

// The environment of a child: the engine, the folder, and where its random
// choices begin.
const (
	engineEnv = "TARI_BOOKTEST_ENGINE"
	dirEnv    = "TARI_BOOKTEST_DIR"
	seedEnv   = "TARI_BOOKTEST_SEED"
)

// Engines open a book in a folder, each by its name.
type Engines map[string]func(dir string) (*peerbook.Book, error)

// Child reports whether this process is a child of Kill. If so it has worked on
// the book, could not go on, and has said why: TestMain must return.
func Child(engines Engines) bool {
	name := os.Getenv(engineEnv)
	if name == "" {
		return false
	}
	open := engines[name]
	if open == nil {
		fmt.Println("error no engine of that name")
		return true
	}
	if err := work(open, os.Getenv(dirEnv), os.Getenv(seedEnv)); err != nil {
		fmt.Println("error", err)
	}
	return true
}

// Killing says what Kill does.
type Killing struct {
	Engine string // one of those that TestMain gives to Child
	Dir    string // of the book; empty, or of an earlier Kill
	Loops  int    // deaths
	Peers  int    // in the book; 64 if 0
	Lines  int    // what a child says before it dies, at most; 200 if 0
	Seed   uint64 // of the moments of death and of what the children do

	// Half is called when a child has said half of what it says, and is to have
	// it running in the end: to stop it for a while, say. An error ends Kill.
	Half func(child *os.Process) error
}

// Report is what came of it.
type Report struct {
	Loops        int
	Acknowledged int      // changes that the book said were done
	Lost         []string // what was not as it had been acknowledged, a sentence each
	Unreadable   []string // why a book did not open
	Corrupt      int      // records set aside
}

// Kill starts this test binary again as a child that works on a book with four
// goroutines (peers, signed claims, bans, unbans, removals) and says when it
// begins a change and when the book has acknowledged it. At a random moment the
// child is killed with SIGKILL, by its process id; the next child first says
// what its book holds, and that is compared. An error is one of the machinery;
// what the book did wrong is in the Report.
func Kill(ctx context.Context, k Killing) (Report, error) {
	if k.Peers == 0 {
		k.Peers = 64
	}
	if k.Lines == 0 {
		k.Lines = 200
	}
	self, err := os.Executable()
	if err != nil {
		return Report{}, err
	}
	random := rand.New(rand.NewPCG(k.Seed, 1))
	report := Report{}
	expected := newModel()
	// The last child only says what it finds.
	for loop := range k.Loops + 1 {
		lines := 1 + random.IntN(k.Lines)
		if loop == k.Loops {
			lines = 0
		}
		cmd := exec.CommandContext(ctx, self, "-test.run=^$")
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", engineEnv+"="+k.Engine, dirEnv+"="+k.Dir,
			fmt.Sprintf("%s=%d %d", seedEnv, random.Uint64(), k.Peers))
		out, err := cmd.StdoutPipe()
		if err != nil {
			return report, err
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return report, err
		}
		half := func() error { return nil }
		if k.Half != nil && lines > 0 {
			half = func() error { return k.Half(cmd.Process) }
		}
		err = follow(out, lines, half, cmd.Process.Kill, expected, &report)
		_ = cmd.Wait() // "signal: killed"
		if err != nil {
			return report, errors.Join(err, ctx.Err())
		}
		report.Loops = loop
	}
	return report, ctx.Err()
}

// follow hears a child: what it finds, then so many lines of what it does, with
// a call of half in between. It then kills it, and hears what it said before it
// was dead.
func follow(out io.Reader, lines int, half, kill func() error, expected *model, report *Report) error {
	said := bufio.NewScanner(out)
	found := map[int]state{}
	ready, halfway, killed := false, false, false
	middle := lines / 2
	for said.Scan() {
		word, rest, _ := strings.Cut(said.Text(), " ")
		switch word {
		case "found":
			n, s, err := parseState(rest)
			if err != nil {
				return fmt.Errorf("booktest: the child said %q: %w", said.Text(), err)
			}
			found[n] = s
		case "corrupt":
			report.Corrupt++
		case "ready":
			ready = true
			report.Lost = append(report.Lost, expected.compare(found)...)
		case "try", "done":
			if err := expected.hear(word, rest); err != nil {
				return err
			}
			if word == "done" {
				report.Acknowledged++
			}
			lines--
		case "error":
			report.Unreadable = append(report.Unreadable, rest)
			return nil
		case "PASS": // of a test binary whose TestMain does not call Child
			return errors.New("booktest: call Child in TestMain")
		default:
			return fmt.Errorf("booktest: the child said %q", said.Text())
		}
		if ready && lines <= middle && !halfway {
			halfway = true
			if err := half(); err != nil {
				return fmt.Errorf("booktest: half: %w", errors.Join(err, kill()))
			}
		}
		if ready && lines <= 0 && !killed {
			killed = true
			if err := kill(); err != nil {
				return fmt.Errorf("booktest: kill: %w", err)
			}
		}
	}
	if !ready {
		return errors.Join(errors.New("booktest: the child died by itself"), said.Err())
	}
	return said.Err()
}
