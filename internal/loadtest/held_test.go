//go:build linux

package loadtest

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	tari "github.com/tari-libp2p/tari-libp2p"
)

// Peers that connect and hold a stream each stay connected, against newcomers as well, and leave nothing behind.
func TestHeldConnections(t *testing.T) {
	const many = 60
	h := start(t, tari.Config{Listen: loopback, Limits: counted(tari.Limits{Inbound: many, HandshakesPerSource: many})})
	before := runtime.NumGoroutine()
	w := &worker{job: job{Kind: "busy", Net: 1, Sources: 3, Count: many}, network: networks[0], host: hostPort(h.Addrs()[0])}
	sessions, failures := w.meetAll()
	if len(failures) > 0 {
		t.Fatal(failures)
	}
	eventually(t, "all are there", func() bool { return len(h.Network().Conns()) == many })
	if err := w.dialOnce(1000); err == nil {
		t.Error("one more from a source that is there already")
	}
	elsewhere := &worker{job: job{Net: 2, Sources: 1}, network: networks[0], host: w.host}
	if err := elsewhere.dialOnce(1001); err == nil {
		t.Error("one more, into a full house that is in use")
	}
	eventually(t, "both are counted, a moment after they were refused", func() bool { return h.Refusals()[tari.RefusedInbound] == 2 })
	if r := h.Refusals(); len(r) != 1 {
		t.Errorf("refused: %v", r)
	}
	if n := len(w.ping(sessions)); n != many || alive(sessions) != many {
		t.Errorf("%d of %d answer, %d are alive", n, many, alive(sessions))
	}
	w.part(sessions)
	eventually(t, "all are gone", func() bool { return len(h.Network().Conns()) == 0 })
	eventually(t, "their goroutines as well", func() bool { return runtime.NumGoroutine() <= before+5 })
	if err := elsewhere.dialOnce(1002); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

// TestHeldConnectionsLong is five thousand for five minutes.
func TestHeldConnectionsLong(t *testing.T) {
	if !long {
		t.Skip("nine minutes: set TARI_LIBP2P_LONG=1")
	}
	const many = 5000
	h := start(t, tari.Config{Listen: loopback, Limits: counted(tari.Limits{Inbound: many})})
	memory, goroutines := settled(t), runtime.NumGoroutine()
	crowd := spawn(t, h, job{Role: "hold", Net: 1, Sources: 200, Count: many})
	held := crowd.expect("held")
	name := fmt.Sprintf("%d peers held for five minutes: ", many)
	row(name+"connected", "all", fmt.Sprintf("%.0f, %.0f a second, both sides on this machine", many-held["failed"], many/held["seconds"]))
	time.Sleep(5 * time.Minute)
	there := crowd.ask("alive", "alive")
	taken := settled(t) - memory
	row(name+"memory each", "≤ 60 KiB", inKiB(taken/many))
	row(name+"goroutines each", "≤ 4", fmt.Sprintf("%.2f", float64(runtime.NumGoroutine()-goroutines)/many))
	row(name+"dropped", "0", many-there["sessions"])
	ping := crowd.ask("ping", "pinged")
	row(name+"an answer to each", "p99 < 50 ms", fmt.Sprintf("half within %.1f ms, 99 %% within %.1f ms, %.0f without", 1000*ping["p50"], 1000*ping["p99"], ping["failed"]))
	crowd.end()
	eventually(t, "all are gone", func() bool { return len(h.Network().Conns()) == 0 })
	eventually(t, "their goroutines as well", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
	time.Sleep(2 * time.Minute) // the host remembers their addresses for a while, and the runtime lets go of memory in steps
	var heap runtime.MemStats
	left := settled(t) - memory
	runtime.ReadMemStats(&heap)
	row(name+"left two minutes after", "≤ 20 %, ≤ 5 goroutines", fmt.Sprintf("%s of %s, the heap in use has %s; %d goroutines more",
		inMiB(left), inMiB(taken), inMiB(int64(heap.HeapAlloc)), runtime.NumGoroutine()-goroutines))
}

// TestFullHouseLong is all places held by a few sources, and others that come.
func TestFullHouseLong(t *testing.T) {
	if !long {
		t.Skip("three minutes: set TARI_LIBP2P_LONG=1")
	}
	for _, kind := range []string{"idle", "busy"} {
		t.Run(kind, func(t *testing.T) {
			h := start(t, tari.Config{Listen: loopback, Limits: counted(tari.Limits{})})
			crowd := spawn(t, h, job{Role: "hold", Kind: kind, Net: 1, Sources: 16, Count: 500})
			crowd.expect("held")
			others := &worker{job: job{Net: 2, Sources: 250}, network: networks[0], host: hostPort(h.Addrs()[0])}
			if err := others.dialOnce(1000); err == nil {
				t.Error("in, while all are young")
			}
			time.Sleep(time.Minute + 10*time.Second)
			good := 0
			for i := range 100 {
				s, err := others.meet(testContext(t), others.source(i), 2000+i)
				if err == nil {
					defer s.Close() // they stay
					err = echoOnce(testContext(t), s)
				}
				if err == nil {
					good++
				}
			}
			target := map[string]string{"idle": "≥ 99 %", "busy": "–"}[kind]
			row("500 connections of 16 sources, "+kind+": newcomers that get in", target, fmt.Sprintf("%d %%", good))
			t.Logf("refused: %v", h.Refusals())
			crowd.end()
		})
	}
}
