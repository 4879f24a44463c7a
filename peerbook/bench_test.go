package peerbook

import (
	"slices"
	"strconv"
	"testing"
)

func BenchmarkDecodeRecord(b *testing.B) {
	r := full(b)
	data, err := encodeRecord(r)
	must(b, err)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := decodeRecord(r.Key, data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBanned(b *testing.B) {
	book := openOn(b, newStore(), Config{})
	must(b, book.Ban(id(1), Forever, "spam"))
	peer := id(1)
	for b.Loop() {
		if _, banned := book.Banned(peer); !banned {
			b.Fatal("not banned")
		}
	}
}

func BenchmarkClaimed(b *testing.B) {
	book, err := Open(b.TempDir(), Config{})
	must(b, err)
	defer book.Close()
	c := claim(b, 1, 1_700_000_000, 1, 2, 3)
	for b.Loop() {
		must(b, book.Claimed(c, Meeting{}))
	}
}

// fullBook has 50,000 peers of 5 addresses each.
func fullBook(b *testing.B) *Book {
	b.Helper()
	book := openOn(b, newStore(), Config{})
	for n := range defaultMaxPeers {
		r := Record{Key: stranger(n).Public()}
		for i := range 5 {
			r.Addresses = append(r.Addresses, in(n%200+i, n)...)
		}
		must(b, book.Put(r))
	}
	return book
}

func BenchmarkCandidates(b *testing.B) {
	book := fullBook(b)
	for b.Loop() {
		if len(book.Candidates(Wanted{Max: 30})) != 30 {
			b.Fatal("too few")
		}
	}
}

func BenchmarkClosest(b *testing.B) {
	book := fullBook(b)
	to := key(1).NodeID()
	for b.Loop() {
		if len(book.Closest(to, 8, nil)) != 8 {
			b.Fatal("too few")
		}
	}
}

// BenchmarkSizes is what a book does, by how many peers are in it. The larger ones take a minute and more to fill, and are left out of
// a short run.
func BenchmarkSizes(b *testing.B) {
	sizes := []int{10_000, 100_000, 1_000_000}
	if testing.Short() {
		sizes = sizes[:1]
	}
	for _, size := range sizes {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			book := openOn(b, newStore(), Config{MaxPeers: 2 * size})
			put := func(n int) { must(b, book.Put(Record{Key: stranger(n).Public(), Addresses: in(n%200, n%62_500)})) }
			for n := range size {
				put(n)
			}
			someone, to := stranger(size/2).Public().PeerID(), key(1).NodeID()
			b.Run("get", func(b *testing.B) {
				for b.Loop() {
					if _, ok := book.Get(someone); !ok {
						b.Fatal("not there")
					}
				}
			})
			b.Run("closest", func(b *testing.B) {
				for b.Loop() {
					if len(book.Closest(to, 20, nil)) != 20 {
						b.Fatal("too few")
					}
				}
			})
			b.Run("random", func(b *testing.B) {
				for b.Loop() {
					if len(book.Random(10, nil)) != 10 {
						b.Fatal("too few")
					}
				}
			})
			b.Run("insert", func(b *testing.B) {
				n := size
				for b.Loop() {
					put(n) // making its key takes a part of the time
					n++
				}
			})
		})
	}
}

func BenchmarkMakeRoom(b *testing.B) {
	book := fullBook(b)
	var all []*Record
	for _, r := range book.peers {
		all = append(all, r)
	}
	for b.Loop() {
		dropOrder(slices.Clone(all))
	}
}
