package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/wiremode"
)

// Alive is the answer to a liveness check.
type Alive struct {
	Address string `json:"address"`
	Network string `json:"network"`
	TookUS  int64  `json:"took_us"` // from the connection to the echo, in microseconds
}

// livenessLine is how many random bytes are echoed, in hex: what fits the shortest line that a dialect allows.
const livenessLine = 16

// ProbeLiveness asks whether a node of the network answers liveness checks at addr: it sends the liveness byte and a
// random line, and wants the line back. A node that does not let us ask hangs up, as does what is no Tari node.
func ProbeLiveness(ctx context.Context, in dialect.Network, socks string, addr ma.Multiaddr) (Alive, error) {
	conn, err := DialAddress(ctx, socks, addr)
	if err != nil {
		return Alive{}, fmt.Errorf("node: liveness: connect: %w", pingError{addr, err})
	}
	defer conn.Close()
	line := make([]byte, livenessLine)
	if _, err := rand.Read(line); err != nil {
		return Alive{}, err
	}
	began := time.Now()
	if err := wiremode.Probe(ctx, conn, in.Liveness, hex.EncodeToString(line)); err != nil {
		return Alive{}, fmt.Errorf("node: liveness: %w", err)
	}
	return Alive{Address: addr.String(), Network: in.Name, TookUS: time.Since(began).Microseconds()}, nil
}
