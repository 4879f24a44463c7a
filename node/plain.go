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
		say(notDialed(dial.Cause))
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

// notDialed says why none of a peer's addresses was dialed.
func notDialed(cause error) string {
	switch {
	case errors.Is(cause, swarm.ErrGaterDisallowedConnection): // it is the book, which refuses whom we ban
		return `we have banned the peer; "tari-libp2p unban" lets it in again`
	case errors.Is(cause, swarm.ErrNoAddresses):
		return "no address of the peer is known; name it as PUBKEY::ADDRESS"
	}
	return cause.Error()
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
	text := err.Error()
	for _, late := range []error{context.DeadlineExceeded, os.ErrDeadlineExceeded} {
		if head, ok := strings.CutSuffix(text, late.Error()); ok && errors.Is(err, late) {
			return head + "no answer in time"
		}
	}
	return text
}
