package crawl

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/internal/crawltest"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// aJournal is that of a small crawl, done.
func aJournal(t testing.TB) (path string, cfg Config) {
	t.Helper()
	s := new(crawltest.Crowd)
	a, b := s.Serve(t, "", rpc.ServerConfig{}), s.Serve(t, "", rpc.ServerConfig{})
	a.Tell(b.Claim, crawltest.Signed(t, closedPort(t, [4]byte{127, 0, 2, 2})))
	path = filepath.Join(t.TempDir(), "journal")
	cfg = Config{Start: []tari.Address{a.At()}, AllowTestAddresses: true, Journal: path, Network: "localnet"}
	result, err := Run(patient(t), guest(t, tari.Config{AllowTestAddresses: true}), cfg)
	if err != nil || len(result.Peers) != 3 {
		t.Fatal(result, err)
	}
	return path, cfg
}

// replay reads a journal without going on with it.
func replay(b []byte) (*known, int64, error) {
	k := newKnown(true)
	whole, err := readJournal(bytes.NewReader(b), func(e entry) error { return k.apply(e, time.Now()) })
	return k, whole, err
}

// TestTornJournal: a journal that ends anywhere is one of a crawl that was so far.
func TestTornJournal(t *testing.T) {
	path, cfg := aJournal(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		k, lines, err := replay(whole[:n])
		if err != nil || lines > int64(n) || lines < int64(n)-maxLine || len(k.peers) > 3 {
			t.Fatalf("cut at %d: %d, %v", n, lines, err)
		}
	}
	// What was in the middle of being written is cut off, and the crawl ends as it did.
	if err := os.Truncate(path, int64(len(whole)-20)); err != nil {
		t.Fatal(err)
	}
	result, err := Run(patient(t), guest(t, tari.Config{AllowTestAddresses: true}), cfg)
	if err != nil || len(result.Peers) != 3 || result.Summary().Waiting != 0 {
		t.Errorf("%+v, %v", result, err)
	}
	again, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(again, whole[:bytes.LastIndexByte(whole[:len(whole)-20], '\n')+1]) {
		t.Errorf("the journal was written anew: %v", err)
	}
	if _, _, err := replay(again); err != nil {
		t.Error(err)
	}
}

// TestBadJournals: what is no journal of this crawl is left as it is, and the error says where.
func TestBadJournals(t *testing.T) {
	path, cfg := aJournal(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	var h entry
	for _, l := range lines {
		if err := json.Unmarshal([]byte(l), &h); err == nil && h.Heard != nil && h.Heard.Claim != nil {
			break
		}
	}
	forged := bytes.Clone(h.Heard.Claim)
	forged[len(forged)-1] ^= 1 // the date
	claim := func(key, b []byte) string {
		e := entry{Heard: &heard{Key: h.Heard.Key, Claim: b}}
		if key != nil {
			copy(e.Heard.Claim, key)
		}
		text, _ := json.Marshal(e)
		return string(text) + "\n"
	}
	for name, c := range map[string]struct {
		text string
		line int
	}{
		"another network": {strings.Replace(string(whole), `"localnet"`, `"mainnet"`, 1), 1},
		"another version": {strings.Replace(string(whole), `"version":1`, `"version":2`, 1), 1},
		"no head":         {strings.Join(lines[1:], ""), 1},
		"two heads":       {lines[0] + lines[0], 2},
		"no JSON":         {lines[0] + "hello\n", 2},
		"not a line":      {strings.Repeat("x", maxLine+1) + "\n", 1},
		"nobody seen":     {lines[0] + `{"seen":{"peer":7,"visit":{}}}` + "\n", 2},
		"nobody told":     {lines[0] + lines[1] + `{"seen":{"peer":0,"peers":[-1],"visit":{}}}` + "\n", 3},
		"no address":      {lines[0] + lines[1] + `{"seen":{"peer":0,"visit":{"attempts":[{"address":"/x"}]}}}` + "\n", 3},
		"no claim":        {lines[0] + claim(nil, []byte{1}), 2},
		"a forged claim":  {lines[0] + claim(nil, forged), 2},
		"another's claim": {lines[0] + claim(make([]byte, 32), bytes.Clone(h.Heard.Claim)), 2},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Journal = filepath.Join(t.TempDir(), "journal")
			if err := os.WriteFile(cfg.Journal, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Run(patient(t), guest(t, tari.Config{AllowTestAddresses: true}), cfg)
			var wrong *JournalError
			if !errors.As(err, &wrong) || wrong.Line != c.line || wrong.Path != cfg.Journal {
				t.Errorf("%v", err)
			}
			if left, _ := os.ReadFile(cfg.Journal); string(left) != c.text {
				t.Error("it was changed")
			}
		})
	}
}

// FuzzJournal reads journals. What is known after it holds together.
func FuzzJournal(f *testing.F) {
	path, _ := aJournal(f)
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	for _, line := range bytes.SplitAfter(whole, []byte("\n")) {
		f.Add(append(bytes.Clone(whole[:bytes.IndexByte(whole, '\n')+1]), line...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, lines, err := replay(b)
		if lines > int64(len(b)) {
			t.Errorf("%d bytes of %d", lines, len(b))
		}
		if err != nil && !errors.As(err, new(*JournalError)) {
			t.Errorf("%v", err)
		}
		for i, p := range k.peers {
			if k.index[p.Key] != i || p.Claim != nil && p.Claim.VerifySignature(time.Now()) != nil {
				t.Errorf("peer %d: %+v", i, p)
			}
			k.choose(i)
			p.Row()
		}
	})
}

// TestJournalInUse: two crawls do not write to one journal.
func TestJournalInUse(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no flock")
	}
	path, cfg := aJournal(t)
	other, err := openJournal(path, func(entry) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	host := guest(t, tari.Config{AllowTestAddresses: true})
	_, err = Run(patient(t), host, cfg)
	if wrong, ok := errors.AsType[*JournalError](err); !ok || wrong.Path != path || !errors.Is(err, errInUse) {
		t.Errorf("while another has it: %v", err)
	}
	if err := other.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(patient(t), host, cfg); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
