//go:build linux

package loadtest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// patience is far more than anything here takes, on the slowest of machines.
const patience = 2 * time.Minute

// networks are one of each dialect.
var networks = []dialect.Network{dialect.Esmeralda, dialect.Stibbons}

var loopback = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}

const echo = protocol.ID("/test/echo/1")

func serveEcho(s network.Stream) {
	defer s.Close()
	_, _ = io.Copy(s, s)
}

// start starts a host that echoes and is closed after the test.
func start(t *testing.T, cfg tari.Config) *tari.Host {
	t.Helper()
	cfg.AllowTestAddresses = true
	if cfg.Network.Name == "" {
		cfg.Network = dialect.Esmeralda
	}
	h, err := tari.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	h.SetStreamHandler(echo, serveEcho)
	return h
}

// keyOf is a key that the same number always gives.
func keyOf(i int) tarikey.SecretKey {
	var secret [32]byte
	binary.LittleEndian.PutUint64(secret[:], uint64(i)+1)
	key, err := tarikey.ParseSecretKey(secret[:])
	if err != nil {
		panic(err)
	}
	return key
}

// stranger is the side of a handshake that has nothing but a key.
func stranger(t testing.TB, i int) dialect.Local {
	t.Helper()
	us, err := someone(i)
	if err != nil {
		t.Fatal(err)
	}
	return us
}

func someone(i int) (dialect.Local, error) {
	key := keyOf(i)
	claim := &identityproto.Claim{
		Key: key.Public(), Features: identityproto.FeatureNode, UserAgent: "stranger/1",
		Addresses: []ma.Multiaddr{ma.StringCast("/memory/1")},
	}
	if err := claim.Sign(key, time.Now()); err != nil {
		return dialect.Local{}, err
	}
	return dialect.Local{
		Key:   key,
		Claim: func() (*identityproto.Claim, error) { return claim, nil },
		Rules: identityproto.Rules{AllowTestAddresses: true},
	}, nil
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for something that other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// long says whether the full sizes are asked for.
var long = os.Getenv("TARI_LIBP2P_LONG") == "1"

// row prints a figure, where the full sizes are asked for.
func row(what, target string, measured any) {
	if long {
		fmt.Printf("row: %s | %s | %v\n", what, target, measured)
	}
}
