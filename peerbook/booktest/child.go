package booktest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// workers share the peers: worker w has those with n % workers == w.
const workers = 4

// work says what the book in the folder holds, then changes it until it is
// killed. It returns errors only.
func work(open func(dir string) (*peerbook.Book, error), dir, seeds string) error {
	var seed uint64
	var peers int
	if _, err := fmt.Sscan(seeds, &seed, &peers); err != nil {
		return err
	}
	b, err := open(dir)
	if err != nil {
		return err
	}
	states := make([]state, peers)
	for n := range peers {
		states[n] = stateOf(b, n)
		if states[n] != (state{}) {
			fmt.Println("found", n, states[n])
		}
	}
	if s := b.Stats(); s.Damaged != "" {
		return fmt.Errorf("a death is no damage, but the files in %s were replaced: %s", s.Damaged, s.Damage)
	}
	for range b.Stats().Corrupt {
		fmt.Println("corrupt")
	}
	fmt.Println("ready")
	failed := make(chan error) // the workers end with the process
	for w := range workers {
		go func() { failed <- workOn(b, states, w, seed) }()
	}
	return <-failed
}

func workOn(b *peerbook.Book, states []state, w int, seed uint64) error {
	random := rand.New(rand.NewPCG(seed, uint64(w)))
	clock := time.Now().UnixMicro()
	for {
		n := w + workers*random.IntN(len(states)/workers)
		c := changes[random.IntN(len(changes))]
		at := states[n].Claim
		if c == claim { // each claim is dated a second after the one before, so that it is the newer one
			at = max(at, clock/1_000_000-1_000_000) + 1
		}
		next := c.after(states[n], at)
		if next == states[n] {
			continue
		}
		fmt.Println("try", c, n, at)
		if err := apply(b, c, n, at); err != nil {
			return err
		}
		fmt.Println("done", c, n, at)
		states[n] = next
	}
}

func apply(b *peerbook.Book, c change, n int, at int64) error {
	key := secretKey(n).Public()
	switch c {
	case add:
		return b.Put(peerbook.Record{Key: key, Addresses: []peerbook.Address{{Addr: address(n), Source: peerbook.Configured}}})
	case claim:
		said := &identityproto.Claim{Addresses: []ma.Multiaddr{address(n)}, Features: identityproto.FeatureNode, UserAgent: "booktest"}
		if err := said.Sign(secretKey(n), time.Unix(at, 0)); err != nil {
			return err
		}
		return b.Claimed(said, peerbook.Meeting{Network: "localnet"})
	case ban:
		return b.Ban(key.PeerID(), peerbook.Forever, "booktest")
	case unban:
		return b.Unban(key.PeerID())
	case remove:
		return b.Remove(key.PeerID())
	}
	return errors.New("no such change")
}

func stateOf(b *peerbook.Book, n int) state {
	id := secretKey(n).Public().PeerID()
	var s state
	r, known := b.Get(id)
	s.Known = known && len(r.Addresses) > 0 // a stranger's ban has a record too
	if known && r.Claim != nil {
		s.Claim = r.Claim.Signature.UpdatedAt.Unix()
	}
	ban, banned := b.Banned(id)
	s.Banned, s.Generation = banned, ban.Generation
	return s
}

// secretKey is the nth peer's.
func secretKey(n int) tarikey.SecretKey {
	data := make([]byte, tarikey.KeySize)
	binary.LittleEndian.PutUint32(data, uint32(n)+1)
	key, err := tarikey.ParseSecretKey(data)
	if err != nil {
		panic(err) // small numbers are canonical scalars
	}
	return key
}

func address(n int) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("/ip4/80.1.%d.%d/tcp/18189", n/250, n%250+1))
}
