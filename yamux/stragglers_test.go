package yamux

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// TestDataAfterReset: yamux 0.4.7 sends a RST past the data it still has. All of
// it is read, to the FIN if one comes; else the reset is what ends it, two seconds later.
func TestDataAfterReset(t *testing.T) {
	for name, finished := range map[string]bool{"then FIN": true, "then nothing": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := withPeer(t, false, Config{Window: Absolute})
				s.StartReading()
				for _, f := range [][]byte{
					frame(typeWindowUpdate, flagSYN, 1, initialWindow),
					append(frame(typeData, 0, 1, 5), "first"...),
					frame(typeData, flagRST, 1, 0),
					frame(typeData, flagRST, 1, 0), // the answer to a late window update
					append(frame(typeData, 0, 1, 6), "second"...),
				} {
					p.send(f)
				}
				if finished {
					p.send(frame(typeData, flagFIN, 1, 0))
				}
				synctest.Wait()
				st, err := s.AcceptStream()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := st.Write([]byte("x")); !errors.Is(err, network.ErrReset) {
					t.Errorf("wrote after a reset: %v", err)
				}
				begin := time.Now()
				got, err := io.ReadAll(st)
				took := time.Since(begin)
				if string(got) != "firstsecond" {
					t.Errorf("read %q", got)
				}
				if finished && (err != nil || took != 0) {
					t.Errorf("after FIN: %v, %s later", err, took)
				}
				if !finished && (!errors.Is(err, network.ErrReset) || took != resetGrace) {
					t.Errorf("without FIN: %v, %s later", err, took)
				}
				s.mu.Lock()
				kept := len(s.streams)
				s.mu.Unlock()
				if kept != 0 {
					t.Errorf("%d streams are kept", kept)
				}
			})
		})
	}
}
