package peerbook

import "testing"

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
