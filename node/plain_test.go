package node

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/libp2p/go-libp2p/p2p/net/swarm"
)

func TestPlain(t *testing.T) {
	for want, err := range map[string]error{
		"no answer in time":         context.DeadlineExceeded,
		"node: no answer in time":   fmt.Errorf("node: %w", context.DeadlineExceeded),
		"stage: no answer in time":  fmt.Errorf("stage: %w", os.ErrDeadlineExceeded),
		"context deadline exceeded": fmt.Errorf("%s", context.DeadlineExceeded.Error()), // a peer's words
		`we have banned the peer; "tari-libp2p unban" lets it in again`: fmt.Errorf("x: %w", &swarm.DialError{Cause: swarm.ErrGaterDisallowedConnection}),
		"no address of the peer is known; name it as PUBKEY::ADDRESS":   &swarm.DialError{Cause: swarm.ErrNoAddresses},
	} {
		if got := plain(err); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
}
