//go:build !unix

package noise

import (
	"errors"
	"net"
)

// readiness is of systems on which a socket says whether something is there.
type readiness struct{}

func readinessOf(net.Conn) *readiness { return nil }

func (*readiness) read(bool) (loan, int, error) { return loan{}, 0, errors.ErrUnsupported }

func (*readiness) write([]byte) (int, error) { return 0, errors.ErrUnsupported }
