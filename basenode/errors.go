package basenode

import (
	"errors"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Fault is what is wrong with a peer's answer.
type Fault int

// The faults.
const (
	FaultMalformed Fault = iota // a message that cannot be one
	FaultHeight                 // a block of another height than the one that was due
	FaultUnlinked               // a header that does not follow on the one before
	FaultHash                   // another block than the one that was asked for
	FaultSurplus                // more than was asked for
	FaultShort                  // a stream that ended too early
	FaultIndex                  // a split at a block that was not asked about
)

var faultNames = [...]string{
	"a message that cannot be one", "not the height that was due", "a header that does not follow on the one before",
	"another block than the one asked for", "more than was asked for", "a stream that ended too early", "a split at no block of those asked about",
}

// String returns the fault as a short phrase.
func (f Fault) String() string { return faultNames[f] }

// BadAnswerError is an answer that no sound peer gives. One that changes from one
// chain to another in the middle of a stream may give FaultUnlinked or
// FaultHeight once; a Cursor asks again before it believes the fault.
type BadAnswerError struct {
	Fault  Fault
	Height uint64 // where it came up; 0 if the answer has no height
}

// Error implements error.
func (e *BadAnswerError) Error() string {
	if e.Height == 0 {
		return "a bad answer: " + e.Fault.String()
	}
	return fmt.Sprintf("a bad answer at height %d: %v", e.Height, e.Fault)
}

// DeepReorgError is a chain that has none of the blocks that a Cursor
// remembers: it left ours before the oldest, or was never the same.
type DeepReorgError struct{ Oldest Point }

// Error implements error.
func (e *DeepReorgError) Error() string {
	return fmt.Sprintf("on a chain that is another since before height %d, the oldest that is remembered", e.Oldest.Height)
}

// LessWorkError is a peer that does not have our last block and whose chain has
// no more work than the one we follow: it is behind, or on a chain that lost.
type LessWorkError struct{ Tip Tip }

// Error implements error.
func (e *LessWorkError) Error() string {
	return fmt.Sprintf("without our last block, on a chain of less work, height %d: behind, or on a fork", e.Tip.Height)
}

// PeerError is why a peer was of no use.
type PeerError struct {
	Peer peer.ID
	Err  error
}

// Error implements error.
func (e *PeerError) Error() string { return short(e.Peer) + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *PeerError) Unwrap() error { return e.Err }

// short is the beginning of a peer's public key, or its id if that is no key of
// Tari's.
func short(p peer.ID) string {
	key, err := tarikey.PublicKeyFromPeerID(p)
	if err != nil {
		return p.String()
	}
	return key.String()[:16]
}

// NoPeerError is that none of the peers was of use. errors.As finds the causes
// in it.
type NoPeerError struct{ Failed []*PeerError }

// Error implements error.
func (e *NoPeerError) Error() string {
	if len(e.Failed) == 0 {
		return "basenode: no peer to ask"
	}
	var all []string
	for _, f := range e.Failed {
		all = append(all, f.Error())
	}
	return "basenode: no peer could be used: " + strings.Join(all, "; ")
}

// Unwrap returns the causes.
func (e *NoPeerError) Unwrap() []error {
	all := make([]error, len(e.Failed))
	for i, f := range e.Failed {
		all[i] = f
	}
	return all
}

var (
	errLimits = errors.New("basenode: a split takes 1 to 1000 hashes and at most 1000 headers")
	errStuck  = errors.New("its tip is another than our last block, but nothing follows on ours")
)
