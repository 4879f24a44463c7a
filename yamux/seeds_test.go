package yamux

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestSeeds checks that the committed seeds of FuzzSession are those of the
// recorded sessions; with UPDATE_SEEDS=1 it writes them.
func TestSeeds(t *testing.T) {
	dir := filepath.Join("testdata", "fuzz", "FuzzSession")
	if os.Getenv("UPDATE_SEEDS") != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for name, seed := range seeds(t) {
		n++
		path := filepath.Join(dir, name)
		text := fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", seed)
		if os.Getenv("UPDATE_SEEDS") != "" {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%s is missing or old: %v", path, err)
		}
	}
	if n < 50 {
		t.Errorf("%d seeds", n)
	}
}

// seeds are the recorded sessions, whole and in pieces of one to four frames,
// each as seen by the side that received them.
func seeds(t *testing.T) map[string][]byte {
	out := map[string][]byte{}
	for name, rule := range map[string]byte{"modern": 0, "seed": 2} {
		for from, role := range map[byte]byte{'A': 0, 'B': 1} {
			mode := rule | role | role<<2 // the dialer has streams of its own
			whole := []byte{mode}
			var piece []byte
			count := 0
			for _, f := range readRecorded(t, name).frames {
				if f.from != from || len(f.body) > 1000 {
					continue
				}
				whole = append(appendHeader(whole, f.header), f.body...)
				piece = append(append(piece, appendHeader(nil, f.header)...), f.body...)
				if count++; count%4 == 0 || f.has(flagFIN|flagRST) {
					out[fmt.Sprintf("%s-%c-%02d", name, from, count)] = append([]byte{mode}, piece...)
					piece = nil
				}
			}
			out[fmt.Sprintf("%s-%c", name, from)] = whole
		}
	}
	return out
}
