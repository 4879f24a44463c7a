package yamux

import (
	"strings"
	"testing"

	suite "github.com/libp2p/go-libp2p/p2p/muxer/testsuite"
)

// TestSuite is go-libp2p's own test of a muxer.
//
// SubtestStreamReset is left out: it opens a stream, writes nothing for 50 ms and
// takes for granted that the other side has accepted and reset it by then. Under
// the Additive rule a stream is not announced before it is used, and no test of
// ours depends on 50 ms; TestResetWakesBoth has what it is after.
func TestSuite(t *testing.T) {
	t.Setenv("CI", "true") // gives its time limits room
	eachRule(t, func(t *testing.T, cfg Config) {
		// Some subtests open a thousand streams at once.
		cfg.MaxStreams, cfg.MaxOpen, cfg.ConnectionMemory = 2048, 2048, 1<<30
		for name, subtest := range suite.Subtests {
			name = name[strings.LastIndexByte(name, '.')+1:]
			if name == "SubtestStreamReset" || raceDetector && name == "SubtestStreamOpenStress" && cfg.Window == Absolute {
				continue // the second only for its length
			}
			t.Run(name, func(t *testing.T) { subtest(t, &Muxer{cfg}) })
		}
	})
}
