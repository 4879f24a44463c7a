package peerbook

import (
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// stranger is a key that nobody has used before.
func stranger(n int) tarikey.SecretKey {
	sum := sha512.Sum512(binary.LittleEndian.AppendUint64([]byte("stranger"), uint64(n)))
	sum[31] &= 0x0f // below the group's order
	k, err := tarikey.ParseSecretKey(sum[:tarikey.KeySize])
	if err != nil {
		panic(err)
	}
	return k
}

// hostile is the message of a peer that fills the book: five addresses in
// sixteen networks of its own. One in a hundred is not even valid.
func hostile(n int) (tarikey.PublicKey, []byte) {
	sk := stranger(n)
	c := &identityproto.Claim{Features: identityproto.FeatureNode, UserAgent: "flood"}
	for i := range 5 {
		ip := [4]byte{60, byte(n % 16), byte(n / 16 % 256), byte(n/4096 + i)}
		addr, err := ma.NewMultiaddr(fmt.Sprintf("/ip4/%d.%d.%d.%d/tcp/%d", ip[0], ip[1], ip[2], ip[3], 1000+i))
		if err != nil {
			panic(err)
		}
		c.Addresses = append(c.Addresses, addr)
	}
	if err := c.Sign(sk, time.Now()); err != nil {
		panic(err)
	}
	if n%100 == 99 {
		c.Addresses[0] = c.Addresses[1] // not what was signed
	}
	return sk.Public(), identityproto.EncodeMessage(c)
}

// A flood of claims, each by a key of its own and through the validator, leaves
// the book at its size, and those in it that matter.
func TestGrowth(t *testing.T) {
	claims, most, limit := floodClaims, 500, time.Hour
	dir := ""
	if os.Getenv("TARI_LIBP2P_LONG") == "1" {
		claims, most, limit, dir = 1_000_000, defaultMaxPeers, 22*time.Minute, inMemory(t)
	}
	cfg := Config{MaxPeers: most}
	open := func() *Book { return openOn(t, newStore(), cfg) }
	if dir != "" {
		open = func() *Book {
			b, err := Open(dir, cfg)
			must(t, err)
			return b
		}
	}
	b := open()
	forgetPeak()
	began := time.Now()
	for n := range 20 {
		must(t, b.Put(Record{Key: key(n), Seed: true, Addresses: given(Configured, n)}))
		must(t, b.Protect(id(100+n), true))
		must(t, b.Put(Record{Key: key(200 + n), Addresses: in(n, n)})) // honest hearsay, of many networks
		must(t, b.Ban(id(300+n), 1000*time.Hour, "spam"))
	}
	claims = flood(t, b, claims, time.Now().Add(limit))
	checkGrown(t, b, most)
	if dir == "" {
		return
	}
	took := time.Since(began).Round(time.Second)
	debug.FreeOSMemory()
	memory, peak := ofProcess(t, "VmRSS"), ofProcess(t, "VmHWM")
	must(t, b.Close())
	size := diskUsage(t, dir)
	b = open()
	defer b.Close()
	checkGrown(t, b, most)
	t.Logf("row: hostile claims into the book | ≤ 50,000 rows, ≤ 150 MiB disk, ≤ 250 MiB resident | %d claims in %s: %d rows, %d MiB disk, %s after a collection; %d MiB at most meanwhile",
		claims, took, len(b.peers), size>>20, verdict(fmt.Sprint(memory>>20, " MiB resident"), memory <= 250<<20), peak>>20)
	if size > 150<<20 || memory > 250<<20 {
		t.Error("more than 150 MiB on disk or 250 MiB resident")
	}
}

// flood has so many claims validated, as far as there is time, and returns how
// many those were; half of the peers come to us, the others are talked of.
func flood(t *testing.T, b *Book, claims int, until time.Time) int {
	t.Helper()
	var done, next atomic.Int64
	var wg sync.WaitGroup
	for range 64 { // many wait for the disk together
		wg.Go(func() {
			for n := int(next.Add(1) - 1); n < claims && time.Now().Before(until); n = int(next.Add(1) - 1) {
				done.Add(1)
				from, message := hostile(n)
				c, err := identityproto.DecodeMessage(message, from, identityproto.Rules{}, time.Now())
				if bad := n%100 == 99; bad != (err != nil) {
					t.Errorf("claim %d, bad %v: %v", n, bad, err)
					return
				} else if bad {
					continue
				}
				news := Record{Key: c.Key, Features: c.Features, Claim: c}
				for _, a := range c.Filtered(identityproto.Rules{}) {
					news.Addresses = append(news.Addresses, Address{Addr: a, Source: Relayed})
				}
				if n%2 == 0 {
					err = b.Claimed(c, Meeting{Network: "mainnet"})
				} else {
					err = b.Put(news)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return int(done.Load())
}

func checkGrown(t *testing.T, b *Book, most int) {
	t.Helper()
	if n := len(b.peers); n > most || n < most*9/10 {
		t.Errorf("%d rows, at most %d", n, most)
	}
	for n := range 20 {
		for _, first := range []int{0, 100, 200} {
			if _, ok := b.Get(id(first + n)); !ok {
				t.Errorf("peer %d was pushed out", first+n)
			}
		}
		if _, banned := b.Banned(id(300 + n)); !banned {
			t.Errorf("the ban of peer %d was pushed out", 300+n)
		}
	}
	groups := map[string]int{}
	for _, c := range b.Candidates(Wanted{}) {
		groups[Netgroup(c.Dial[0].Addr)]++
	}
	for group, n := range groups {
		if n > MaxPerNetgroup {
			t.Errorf("%d candidates in %s", n, group)
		}
	}
	for _, r := range b.List(nil) {
		if len(r.Addresses) > MaxAddresses {
			t.Errorf("%d addresses", len(r.Addresses))
		}
	}
}

// A peer that claims five new addresses each time has ten of them kept at most.
func TestGrowthOfOnePeer(t *testing.T) {
	b := openOn(t, newStore(), Config{})
	for n := range 200 {
		c := claim(t, 1, 1_700_000_000, n*5, n*5+1, n*5+2, n*5+3, n*5+4) // of one second: addresses add up
		must(t, b.Claimed(c, Meeting{}))
		if got := len(get(t, b, 1).Addresses); got > MaxAddresses {
			t.Fatalf("%d addresses", got)
		}
	}
}

func diskUsage(t *testing.T, dir string) (sum int64) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum += info.Size()
		return nil
	}))
	return sum
}

// ofProcess is a figure of this process in bytes, 0 where it cannot be told.
func ofProcess(t *testing.T, what string) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if kb, is := strings.CutPrefix(line, what+":"); is {
			n, err := strconv.ParseInt(strings.Fields(kb)[0], 10, 64)
			must(t, err)
			return n << 10
		}
	}
	return 0
}

// forgetPeak has VmHWM begin anew, where the system can.
func forgetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// verdict is a measured figure as the table of docs/reliability.md has it: in
// bold if it misses its target.
func verdict(figure string, reached bool) string {
	if reached {
		return figure
	}
	return "**" + figure + "**"
}
