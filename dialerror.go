package tari

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

// NotTriedError is the cause of an address in a *swarm.DialError that nobody knocked at: ErrSelf, ErrInternal or ErrNoNode, a refusal of
// Config.Gater (swarm.ErrGaterDisallowedConnection), a *NoTransportError, or that its turn did not come. It says nothing about the address.
type NotTriedError struct{ Err error }

func (e *NotTriedError) Error() string { return "not tried: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *NotTriedError) Unwrap() error { return e.Err }

// UnfinishedError is the cause of an address in a *swarm.DialError that was still being tried when the dial ended.
type UnfinishedError struct {
	Done string        // the last stage that was behind it: StageConnect, or one of package dialect's; "" if there was no connection
	Took time.Duration // since the dial of this address began
	Err  error         // what ended it, mostly that of a context
}

// StageConnect is the stage before those of package dialect.
const StageConnect = "connect"

func (e *UnfinishedError) Error() string {
	took := e.Took.Round(time.Millisecond)
	if e.Done == "" {
		return fmt.Sprintf("no connection in %v", took)
	}
	return fmt.Sprintf("not ready in %v, got past %s", took, e.Done)
}

// Unwrap returns what ended it.
func (e *UnfinishedError) Unwrap() error { return e.Err }

// Why an address was not tried.
var (
	errTurn     = errors.New("the dial ended before its turn")
	errLookup   = errors.New("the dial ended while names were looked up")
	errNetgroup = fmt.Errorf("%d others in the same network go first", maxPerNetgroup)
)

// outcome is how an address stands when its dial ends with the error ended.
func (a *attempt) outcome(ended error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.refused != nil:
		return &NotTriedError{a.refused}
	case a.err != nil:
		return a.err
	case !a.began.IsZero():
		return &UnfinishedError{Done: a.done, Took: time.Since(a.began), Err: ended}
	case a.waiting != nil:
		return &NotTriedError{a.waiting}
	}
	return nil
}

// explainDial gives each address of a dial its cause, also those of which the swarm says nothing: it does not when the caller's time is
// up, nor of addresses that it leaves out.
func (h *Host) explainDial(p peer.ID, err error) error {
	var failed *swarm.DialError
	timeUp := !errors.As(err, &failed)
	switch {
	case !timeUp:
		explained := *failed // callers that waited for the same dial share the original
		failed = &explained
		failed.DialErrors, failed.Skipped = slices.Clone(failed.DialErrors), 0
	case isEnded(err):
		failed = &swarm.DialError{Peer: p, Cause: err}
	default:
		return err
	}
	told := func(a ma.Multiaddr) bool {
		return slices.ContainsFunc(failed.DialErrors, func(one swarm.TransportError) bool { return one.Address.Equal(a) })
	}
	tell := func(a ma.Multiaddr, cause error) {
		failed.DialErrors = append(failed.DialErrors, swarm.TransportError{Address: a, Cause: cause})
	}
	attempts := h.dials.attempts(p)
	for i, one := range failed.DialErrors {
		failed.DialErrors[i].Cause = notTried(one.Cause)
	}
	for _, at := range attempts {
		cause := at.outcome(err)
		i := slices.IndexFunc(failed.DialErrors, func(one swarm.TransportError) bool { return one.Address.Equal(at.addr) })
		switch {
		case i >= 0 && isNotTried(cause):
			failed.DialErrors[i].Cause = cause // the swarm knows only that a gater refused
		case i >= 0:
		case cause != nil:
			tell(at.addr, cause)
		case timeUp:
			tell(at.addr, &NotTriedError{errTurn})
		default:
			tell(at.addr, &NotTriedError{errNetgroup})
		}
	}
	if errors.Is(failed.Cause, swarm.ErrGaterDisallowedConnection) {
		return failed // the peer: no address of it
	}
	for _, a := range h.peers.Addrs(p) {
		switch refusal := h.policy.refuses(p, a); {
		case told(a):
		case refusal != nil && !isName(a):
			tell(a, &NotTriedError{refusal})
		case len(attempts) == 0 && timeUp:
			tell(a, &NotTriedError{errLookup})
		}
	}
	return h.names.explain(failed)
}

// notTried is the cause of an address that the swarm did not try, as one that says so.
func notTried(cause error) error {
	switch {
	case errors.Is(cause, ErrSelf), isNotTried(cause): // known already
		return cause
	case errors.Is(cause, swarm.ErrDialToSelf):
		return &NotTriedError{ErrSelf}
	case errors.Is(cause, swarm.ErrGaterDisallowedConnection), errors.Is(cause, swarm.ErrDialBackoff):
		return &NotTriedError{cause}
	}
	return cause
}

func isNotTried(err error) bool { return errors.As(err, new(*NotTriedError)) }

// isEnded is an error that says no more than that the time is up, or that nobody waits any more.
func isEnded(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// isName is an address that begins with a name.
func isName(a ma.Multiaddr) bool {
	if len(a) == 0 {
		return false
	}
	switch a[0].Protocol().Code {
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		return true
	}
	return false
}
