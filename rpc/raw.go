package rpc

import (
	"context"
	"iter"
)

// Raw is a method of which only the number is known: payloads are bytes that are
// neither encoded nor decoded, so that no Budget holds. It serves tools.
type Raw struct{ Number uint32 }

// Call calls the method each time that the sequence is ranged over, and yields
// the payload of each answer, valid until the next: of a unary method the only
// one, of a streaming one each item. The empty payload that ends a call is not
// yielded, so that an empty answer and a stream without items look the same, as
// they are the same on the wire. For the rest see Streaming.Call.
func (m Raw) Call(ctx context.Context, via Caller, payload []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if err := m.once(ctx, via, payload, func(p []byte) bool { return yield(p, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

// once yields until the end, until yield has enough, or until an error.
func (m Raw) once(ctx context.Context, via Caller, payload []byte, yield func([]byte) bool) error {
	c, release, err := via.session(ctx)
	if err != nil {
		return err
	}
	defer release()
	x, err := c.begin(ctx, request{Method: m.Number, Payload: payload}, nil)
	if err != nil {
		return err
	}
	defer x.end()
	for {
		answer, err := x.next()
		if err != nil {
			return err
		}
		if x.finished && len(answer.Payload) == 0 {
			return nil
		}
		if !yield(answer.Payload) || x.finished {
			return nil
		}
	}
}
