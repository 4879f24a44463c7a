//go:build interop

package interop

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// exchangePattern writes size bytes of the pattern and reads size bytes, both
// at the same time, and closes the stream.
func exchangePattern(s network.Stream, size int64, seed uint64) duplexEnd {
	written := make(chan error, 1)
	go func() {
		_, err := io.Copy(s, io.LimitReader(newPattern(seed), size))
		written <- err
	}()
	hash := sha256.New()
	received, err := io.Copy(hash, io.LimitReader(s, size))
	err = errors.Join(err, <-written, s.Close())
	return duplexEnd{int(received), hex.EncodeToString(hash.Sum(nil)), err}
}

// serveDuplex answers a Rust peer's duplex command.
func serveDuplex(s network.Stream) duplexEnd {
	_ = s.SetDeadline(time.Now().Add(5 * patience))
	var head [16]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		_ = s.Reset()
		return duplexEnd{err: err}
	}
	return exchangePattern(s, int64(binary.BigEndian.Uint64(head[:8])), binary.BigEndian.Uint64(head[8:])+1)
}

// duplexByUs opens the custom protocol on a Rust peer and checks both sides.
func duplexByUs(t testing.TB, us *ourNode, rust *rustPeer, size int, series uint64) {
	t.Helper()
	from := rust.at()
	s, err := us.host.NewStream(patient(t), peerID(t, rust), duplexID)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.SetDeadline(time.Now().Add(5 * patience))
	var head [16]byte
	binary.BigEndian.PutUint64(head[:8], uint64(size))
	binary.BigEndian.PutUint64(head[8:], series)
	if _, err := s.Write(head[:]); err != nil {
		t.Fatal(err)
	}
	ours := exchangePattern(s, int64(size), series)
	if want := patternHash(series+1, size); ours.err != nil || ours.sha256 != want {
		t.Fatalf("we read %d of %d bytes, %s, want %s: %v", ours.received, size, ours.sha256, want, ours.err)
	}
	theirs := rust.waitFrom(from, "the end of the duplex stream", func(ev event) bool { return ev.Event == "duplex" })
	if want := patternHash(series, size); theirs.Error != "" || theirs.SHA256 != want {
		t.Fatalf("Rust read %s, want %s", theirs.line, want)
	}
}

// duplexByRust has the Rust peer open the custom protocol on us.
func duplexByRust(t testing.TB, us *ourNode, rust *rustPeer, size int, series uint64) {
	t.Helper()
	from := us.duplexes.len()
	theirs := rust.do("duplex", map[string]any{"node_id": us.nodeID(), "size": size, "seed": series})
	if want := patternHash(series+1, size); theirs.SHA256 != want {
		t.Fatalf("Rust read %s, want %s", theirs.line, want)
	}
	ours := us.duplexes.waitFor(t, "our end of the duplex stream", from, 1)[0]
	if want := patternHash(series, size); ours.err != nil || ours.sha256 != want {
		t.Fatalf("we read %d of %d bytes, %s, want %s: %v", ours.received, size, ours.sha256, want, ours.err)
	}
}

func patternHash(seed uint64, size int) string {
	hash := sha256.New()
	_, _ = io.Copy(hash, io.LimitReader(newPattern(seed), int64(size)))
	return fmt.Sprintf("%x", hash.Sum(nil))
}
