package tari

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Refusal is why an inbound connection was closed before it was ours.
type Refusal string

// The reasons; the first four with the names that tari_comms logs them under.
const (
	RefusedInbound             Refusal = "inbound_cap"        // Limits.Inbound, or InboundOnion
	RefusedInboundPerSource    Refusal = "inbound_cap_per_ip" // Limits.InboundPerSource
	RefusedHandshakesPerSource Refusal = "per_ip"             // Limits.HandshakesPerSource
	RefusedHandshakes          Refusal = "slots_full"         // Limits.Handshakes, or HandshakesOnion
	RefusedSource              Refusal = "source"             // Limits.Refuse
	RefusedDisplaced           Refusal = "displaced"          // in handshake; another source, which had fewer, got the slot
	RefusedIdle                Refusal = "idle"               // established, and nobody used it; another source, which had none, got the place
	RefusedByGater             Refusal = "gater"              // Config.Gater does not want the source
	RefusedResources           Refusal = "resources"          // memory or descriptors that the resource manager gives us
	RefusedDescriptors         Refusal = "descriptors"        // the system has no file descriptor or memory for a connection
)

// Raise says what a refusal depends on: the setting to raise if the load is honest.
func (r Refusal) Raise() string {
	switch r {
	case RefusedInbound, RefusedIdle:
		return "Limits.Inbound, InboundOnion for Tor"
	case RefusedInboundPerSource:
		return "Limits.InboundPerSource, or Exempt the source"
	case RefusedHandshakesPerSource:
		return "Limits.HandshakesPerSource, or Exempt the source"
	case RefusedHandshakes, RefusedDisplaced:
		return "Limits.Handshakes, HandshakesOnion for Tor"
	case RefusedSource:
		return "Limits.Refuse"
	case RefusedByGater:
		return "Config.Gater"
	case RefusedResources:
		return "the memory and descriptors of this machine (ulimit -n)"
	case RefusedDescriptors:
		return "the descriptors of this process (ulimit -n)"
	}
	return ""
}

// Refusals counts inbound connections that were refused, by reason.
type Refusals map[Refusal]uint64

// String is one line: the reasons, most frequent first, each with the setting to raise.
func (r Refusals) String() string {
	reasons := slices.SortedFunc(maps.Keys(r), func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(r[b], r[a]), strings.Compare(string(a), string(b)))
	})
	parts := make([]string, len(reasons))
	for i, reason := range reasons {
		parts[i] = fmt.Sprintf("%s %d (%s)", reason, r[reason], reason.Raise())
	}
	return strings.Join(parts, "; ")
}

// refusalInterval is how often, at most, refusals are told of in sum, as tari_comms has it.
const refusalInterval = time.Minute

// refusals counts, and a minute after the first tells of all that came meanwhile.
type refusals struct {
	tell func(Refusals) // nil: nobody wants to know

	mu        sync.Mutex
	ever      Refusals
	recent    Refusals
	timer     *time.Timer // runs while recent holds any
	closed    bool
	reporting sync.WaitGroup
}

func newRefusals(tell func(Refusals)) *refusals {
	return &refusals{tell: tell, ever: make(Refusals), recent: make(Refusals)}
}

func (r *refusals) count(reason Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ever[reason]++
	if r.tell == nil || r.closed {
		return
	}
	r.recent[reason]++
	if r.timer == nil {
		r.timer = time.AfterFunc(refusalInterval, r.report)
	}
}

func (r *refusals) report() {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	recent := r.recent
	r.recent, r.timer = make(Refusals), nil
	r.reporting.Add(1)
	r.mu.Unlock()
	defer r.reporting.Done()
	r.tell(recent)
}

// sum is what was counted since the start.
func (r *refusals) sum() Refusals {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.ever)
}

// close waits for a report under way; there is none after it.
func (r *refusals) close() {
	r.mu.Lock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	r.reporting.Wait()
}
