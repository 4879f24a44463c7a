package booktest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

// Live does random changes to a book, closes and opens it every now and then,
// and returns what is not as it should be: the test of an engine in peace, as
// Kill is in war. open opens the same book each time, and says how to close
// what is under it.
func Live(open func() (*peerbook.Book, func() error, error), steps int, seed uint64) error {
	const peers = 64
	random := rand.New(rand.NewPCG(seed, 2))
	want := make([]state, peers)
	now := time.Now().Unix() - 1_000_000
	b, closeStore, err := open()
	if err != nil {
		return err
	}
	for step := range steps {
		n, c := random.IntN(peers), changes[random.IntN(len(changes))]
		at := want[n].Claim
		if c == claim {
			at = max(at, now) + 1
		}
		if next := c.after(want[n], at); next != want[n] {
			if err := apply(b, c, n, at); err != nil {
				return errors.Join(fmt.Errorf("booktest: step %d, %s: %w", step, c, err), b.Close(), closeStore())
			}
			want[n] = next
		}
		if random.IntN(200) > 0 && step < steps-1 {
			continue
		}
		if err := errors.Join(b.Close(), closeStore()); err != nil {
			return err
		}
		if b, closeStore, err = open(); err != nil {
			return err
		}
		for n := range peers {
			if got := stateOf(b, n); got != want[n] {
				return errors.Join(fmt.Errorf("booktest: after a restart at step %d peer %d is %s, not %s", step, n, got, want[n]), b.Close(), closeStore())
			}
		}
	}
	return errors.Join(b.Close(), closeStore())
}
