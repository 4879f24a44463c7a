package basenode_test

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/internal/chaintest"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// served is a host that answers by what register lets its server serve; us knows where it is.
func served(t testing.TB, us *tari.Host, register func(chaintest.Server) error) peer.ID {
	t.Helper()
	h := newHost(t)
	server := rpc.NewServer(h, rpc.ServerConfig{})
	t.Cleanup(func() { server.Close() })
	if err := register(server); err != nil {
		t.Fatal(err)
	}
	us.SetConfigured(peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	return h.ID()
}

// TestRecording: what is recorded of a node is read as the node itself is.
func TestRecording(t *testing.T) {
	us, between := newHost(t), newHost(t)
	id, _ := serve(t, between, chaintest.New(dialect.Localnet, 20), rpc.ServerConfig{})
	pools := rpc.NewPools(between, rpc.PoolConfig{})
	t.Cleanup(func() { pools.Close() })
	recording := &chaintest.Recording{Network: "localnet"}
	tape := served(t, us, func(s chaintest.Server) error {
		return recording.Record(s, func(service protocol.ID) rpc.Caller { return pools.To(id, service) })
	})
	want, err := chaintest.Read(patient(t), client(t, us, tape))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "recording.json")
	if err := recording.Save(file); err != nil {
		t.Fatal(err)
	}
	saved, err := chaintest.ReadRecording(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := chaintest.Read(patient(t), client(t, us, served(t, us, saved.Replay)))
	if err != nil || len(got.Headers) != 21 || !reflect.DeepEqual(got.Headers, want.Headers) || got.Mempool != want.Mempool || len(saved.Calls) < 50 {
		t.Errorf("%d headers, %+v, %d calls, %v", len(got.Headers), got.Mempool, len(saved.Calls), err)
	}
}

// TestRecordedNode: what a whole base node of Tari has answered, with blocks that it made itself, is read, and not with a byte of a header
// changed. The test TestBaseNode in interop/netns records it.
func TestRecordedNode(t *testing.T) {
	const file = "testdata/minotari_node.json"
	recording, err := chaintest.ReadRecording(file)
	if err != nil {
		t.Fatal(err)
	}
	us := newHost(t)
	r, err := chaintest.Read(patient(t), client(t, us, served(t, us, recording.Replay)))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Rewards(); err != nil || r.Tip.Height != 5 || r.Tip.Difficulty.Int64() != 6 || r.Synced || r.Mempool != (basenode.MempoolStats{}) {
		t.Errorf("%v; the tip is %+v, synced %v, the mempool %+v", err, r.Tip, r.Synced, r.Mempool)
	}
	t.Logf("%s, built %s: tip %v", recording.Node, recording.Built, r.Tip.Point)
	const places = 8 // in the first header of a stream
	for i := range places {
		bad, err := chaintest.ReadRecording(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range bad.Calls {
			if c.Service == basenode.SyncService && c.Method == basenode.SyncHeaders.Number && len(c.Answers) > 0 {
				c.Answers[0][i*len(c.Answers[0])/places] ^= 1
			}
		}
		read, err := all(client(t, us, served(t, us, bad.Replay)).Headers(patient(t), r.Headers[0].Point(), 0))
		if err == nil {
			t.Errorf("byte %d of %d of a header changed: %d headers, and no error", i, places, len(read))
		}
	}
}
