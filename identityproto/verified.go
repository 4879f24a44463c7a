package identityproto

import (
	"sync"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Verified remembers the last signatures that were found good, 512 to 1,024 of them, so that a peer that comes again is not verified
// again: its claim has the same signature for weeks. The zero value is empty. Its methods may be called at the same time.
type Verified struct {
	mu            sync.Mutex
	recent, older map[equation]struct{}
}

// verifiedRecent is how many signatures are remembered before those that were not seen since are forgotten.
const verifiedRecent = 512

// equation is all that decides whether a signature is good: the challenge is a hash over the key, the nonce and what is signed.
type equation struct {
	challenge [64]byte
	s         [tarikey.KeySize]byte
}

func (v *Verified) has(challenge [64]byte, s [tarikey.KeySize]byte) bool {
	if v == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	e := equation{challenge, s}
	if _, ok := v.recent[e]; ok {
		return true
	}
	if _, ok := v.older[e]; ok {
		v.put(e)
		return true
	}
	return false
}

func (v *Verified) add(challenge [64]byte, s [tarikey.KeySize]byte) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.put(equation{challenge, s})
}

// put is called with the mutex held.
func (v *Verified) put(e equation) {
	if v.recent == nil || len(v.recent) >= verifiedRecent {
		v.recent, v.older = make(map[equation]struct{}), v.recent
	}
	v.recent[e] = struct{}{}
}
