//go:build !unix

package noise

import (
	"errors"
	"net"
)

// readiness is of systems on which a socket says whether something is there.
type readiness struct{}

func readinessOf(net.Conn) *readiness { return nil }

func (*readiness) read() (*[smallBuffer]byte, int, error) { return nil, 0, errors.ErrUnsupported }
