//go:build !race

package identityproto

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/internal/prost"
)

// TestAllocationBounded: what a stranger sends makes us allocate a few times its size, whatever it claims to hold.
func TestAllocationBounded(t *testing.T) {
	k := us.Public()
	seed := prost.AppendBytes(nil, 1, bytes.Repeat([]byte{1}, 13))
	for name, read := range map[string]func() (size int){
		"many empty addresses": func() int {
			b := bytes.Repeat([]byte{0x0a, 0}, MaxMessage/2)
			_, _ = DecodeMessage(b, k, Rules{}, now)
			return len(b)
		},
		"many signatures": func() int {
			b := bytes.Repeat([]byte{0x2a, 0}, MaxMessage/2)
			_, _ = DecodeMessage(b, k, Rules{}, now)
			return len(b)
		},
		"groups": func() int {
			b := bytes.Repeat([]byte{0x33}, MaxMessage)
			_, _ = DecodeMessage(b, k, Rules{}, now)
			return len(b)
		},
		"an address that says it is long": func() int {
			b := prost.AppendBytes(nil, 1, []byte{54, 0xff, 0xff, 0xff, 0x7f, 'a'})
			_, _ = DecodeMessage(b, k, Rules{}, now)
			return len(b)
		},
		"a frame that says it is long": func() int {
			_, _ = readFrame(bytes.NewReader([]byte{0, 0xff, 0xff}))
			return 3
		},
		"many seed addresses": func() int {
			b := append(bytes.Clone(seed), bytes.Repeat([]byte{0x12, 0}, maxSeedMessage/2)...)
			_, _ = decodeSeed(b, k, Rules{})
			return len(b)
		},
		"one long seed address": func() int {
			b := prost.AppendBytes(bytes.Clone(seed), 2, bytes.Repeat([]byte("/tls"), maxSeedMessage/4))
			_, _ = decodeSeed(b, k, Rules{})
			return len(b)
		},
	} {
		read()
		const runs = 20
		var before, after runtime.MemStats
		size := 0
		runtime.ReadMemStats(&before)
		for range runs {
			size = read()
		}
		runtime.ReadMemStats(&after)
		// What the test makes itself is in it: the message twice.
		if got, most := (after.TotalAlloc-before.TotalAlloc)/runs, uint64(64<<10+8*size); got > most {
			t.Errorf("%s: %d bytes allocated for %d received, at most %d expected", name, got, size, most)
		}
	}
}
