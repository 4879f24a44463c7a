package node

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/tari-libp2p/tari-libp2p/messagingproto"
)

// plain says an error in the words that help: of a dial each address with its cause, once, and of a system call the cause
// alone. The whole error stays reachable through errors.As.
func plain(err error) string {
	var dial *swarm.DialError
	if !errors.As(err, &dial) {
		return plainCause(err)
	}
	var said []string
	say := func(text string) {
		if !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	for _, one := range dial.DialErrors {
		if errors.Is(one.Cause, swarm.ErrDialToSelf) && len(dial.DialErrors) > 1 {
			continue
		}
		say(one.Address.String() + ": " + plainCause(one.Cause))
	}
	if len(said) == 0 && dial.Cause != nil {
		say(dial.Cause.Error())
	}
	if len(said) == 0 {
		return err.Error()
	}
	text := strings.Join(said, "; ")
	var send *messagingproto.SendError
	if errors.As(err, &send) {
		return "messaging: " + send.Reason.String() + ": " + text
	}
	return text
}

// plainCause is the error's own text; of a failed network call only why, since the address is known.
func plainCause(err error) string {
	if op, ok := err.(*net.OpError); ok && op.Op == "dial" { // not errors.As: what wraps it says more
		var number syscall.Errno
		switch {
		case errors.As(op, &number):
			return number.Error()
		case op.Timeout():
			return "no answer in time"
		}
		return op.Err.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) && err.Error() == context.DeadlineExceeded.Error() || errors.Is(err, os.ErrDeadlineExceeded) && err.Error() == os.ErrDeadlineExceeded.Error() {
		return "no answer in time"
	}
	return err.Error()
}
