//go:build interop

package interop

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"

	tari "github.com/tari-libp2p/tari-libp2p"
)

// TestOpening: Rust serves a stream that came with the handshake's last message, before it sent its own claim, and again on the connection
// that this made. A peer of the seed dialect has it later. Neither finds anything wrong with us.
func TestOpening(t *testing.T) {
	for e, cfg := range map[era]tari.Config{modern: {}, seed: seedNet()} {
		t.Run(e.name, func(t *testing.T) {
			e.binary(t)
			rust, us := startRust(t, e), startOurs(t, cfg)
			them := addrInfo(t, rust)
			us.host.Peerstore().AddAddrs(them.ID, them.Addrs, peerstore.PermanentAddrTTL)
			for series := range uint64(20) {
				const size = 100_000
				from := rust.at()
				head := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, size), series)
				s, err := us.host.NewStreamWith(patient(t), them.ID, duplexID, head)
				if err != nil {
					t.Fatal(err)
				}
				_ = s.SetDeadline(time.Now().Add(5 * patience))
				ours := exchangePattern(s, size, series)
				if want := patternHash(series+1, size); ours.err != nil || ours.sha256 != want {
					t.Fatalf("we read %d of %d bytes, %s, want %s: %v", ours.received, size, ours.sha256, want, ours.err)
				}
				theirs := rust.waitFrom(from, "the end of the duplex stream", func(ev event) bool { return ev.Event == "duplex" })
				if want := patternHash(series, size); theirs.Error != "" || theirs.SHA256 != want {
					t.Fatalf("Rust read %s, want %s", theirs.line, want)
				}
				if series%2 == 0 {
					_ = us.host.Network().ClosePeer(them.ID)
				} else if n := us.host.Network().Connectedness(them.ID); n != network.Connected {
					t.Errorf("after the second stream: %v", n)
				}
			}
			if s := rust.stored(us.key()); s.Banned {
				t.Errorf("Rust banned us: %+v", s)
			}
		})
	}
}
