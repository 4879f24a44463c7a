package crawl

import (
	"context"
	"maps"
	"testing"
	"time"

	"go.uber.org/goleak"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

func TestMain(m *testing.M) {
	if crawlsOnBehalf() {
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is far more than anything here takes, on the slowest of machines.
const patience = 5 * time.Minute

func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// guest is the host of a crawl.
func guest(t testing.TB, cfg tari.Config) *tari.Host {
	t.Helper()
	cfg.Network = dialect.Localnet
	h, err := tari.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	h.SetFeatures(identityproto.FeatureClient)
	return h
}

// of are the peers of a result by their keys.
func of(r *Result) map[tarikey.PublicKey]Peer {
	out := map[tarikey.PublicKey]Peer{}
	for _, p := range r.Peers {
		out[p.Key] = p
	}
	return out
}

// classes counts the peers of a result.
func classes(r *Result) map[Class]int {
	out := r.Summary().Classes
	maps.DeleteFunc(out, func(_ Class, n int) bool { return n == 0 })
	return out
}
