package rpc

import (
	"context"
	"iter"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
)

// Unary is a method that answers once. It is the whole stub: the client calls
// it, the server serves it. Req and Resp are pointers to generated messages;
// emptypb.Empty stands for nothing, wrapperspb.UInt64Value for a bare integer.
type Unary[Req, Resp proto.Message] struct {
	Number uint32 // of the method in its service
	Budget Budget
	// Repeatable says that calling it twice does no more than calling it once, as
	// with all that only reads. A Pool then makes a call again on another session
	// when one ends before the answer; without it the caller has to decide.
	Repeatable bool
}

// Streaming is a method that answers with any number of items; otherwise as
// Unary.
type Streaming[Req, Resp proto.Message] struct {
	Number     uint32
	Budget     Budget
	Repeatable bool // before the first item
}

// Budget bounds what a message may make its reader allocate: messages inside of
// it, elements of repeated fields and entries of maps. It is counted before
// anything is decoded. 0 means 16,384, as in tari_comms.
type Budget struct {
	Request  int // 0 means that of Response
	Response int // of each item, if there are several
}

func (b Budget) request() int  { return orDefault(b.Request, b.response()) }
func (b Budget) response() int { return orDefault(b.Response, defaultBudget) }

// Method is a method with the function that serves it, for Server.Register. It
// is made by the method Serve of Unary and Streaming.
type Method struct {
	number uint32
	// One of them is nil.
	unary  func(ctx context.Context, from peer.ID, payload []byte) (proto.Message, error)
	stream func(ctx context.Context, from peer.ID, payload []byte, out *outflow) error
}

// Serve serves the method with f. ctx ends at the call's deadline, when the
// client cancels the call or goes, and when the session or the server ends;
// what f returns then is dropped, and the session waits for it. An error that
// is a *Status is what the client is told; of any other it learns nothing but
// that there was one.
func (m Unary[Req, Resp]) Serve(f func(ctx context.Context, from peer.ID, req Req) (Resp, error)) Method {
	return Method{number: m.Number, unary: func(ctx context.Context, from peer.ID, payload []byte) (proto.Message, error) {
		req, err := decodeRequest[Req](payload, m.Budget)
		if err != nil {
			return nil, err
		}
		return f(ctx, from, req)
	}}
}

// Serve serves the method with f, whose items are sent as they come; at most
// 128 KiB and one item wait for the client, and while they do f is not asked for
// the next. The call ends with f's items or with its first error. The deadline
// counts anew for each item. For the rest see Unary.Serve.
func (m Streaming[Req, Resp]) Serve(f func(ctx context.Context, from peer.ID, req Req) iter.Seq2[Resp, error]) Method {
	return Method{number: m.Number, stream: func(ctx context.Context, from peer.ID, payload []byte, out *outflow) error {
		req, err := decodeRequest[Req](payload, m.Budget)
		if err != nil {
			return err
		}
		for item, err := range f(ctx, from, req) {
			if err != nil {
				return err
			}
			if err := out.item(ctx, item); err != nil {
				return err
			}
		}
		return out.fin()
	}}
}

func decodeRequest[Req proto.Message](payload []byte, b Budget) (Req, error) {
	req := newMessage[Req]()
	if err := decode(payload, req, b.request(), true); err != nil {
		return req, &Status{BadRequest, err.Error()}
	}
	return req, nil
}

// newMessage makes an empty message of a type that is a pointer to one.
func newMessage[M proto.Message]() M {
	var none M
	return none.ProtoReflect().New().Interface().(M)
}

// Caller is where a call finds its session: a Client, or a Pool of them.
type Caller interface {
	session(ctx context.Context) (c *Client, release func(), err error)
	// again says whether a call that failed so often, the last time with err, may
	// be made once more.
	again(failed int, err error) bool
}

// Call calls the method and returns the answer. ctx bounds it; when it ends
// first, the server is told so. The deadline that the server learns is ctx's,
// but at most ClientConfig.Deadline, in whole seconds, rounded up.
//
// Errors: a *Status, when the server answered so (Timeout also when it did not
// answer at all, ProtocolError and MalformedResponse when the answer is no
// good); a *SessionError or a *RejectedError, when there is no session; ctx's.
func (m Unary[Req, Resp]) Call(ctx context.Context, via Caller, req Req) (resp Resp, err error) {
	for failed := 1; ; failed++ {
		if resp, err = m.once(ctx, via, req); err == nil || !m.Repeatable || !via.again(failed, err) {
			return resp, err
		}
	}
}

func (m Unary[Req, Resp]) once(ctx context.Context, via Caller, req Req) (resp Resp, err error) {
	c, release, err := via.session(ctx)
	if err != nil {
		return resp, err
	}
	defer release()
	x, err := c.begin(ctx, request{Method: m.Number}, req)
	if err != nil {
		return resp, err
	}
	defer x.end()
	answer, err := x.next()
	if err != nil {
		return resp, err
	}
	got := newMessage[Resp]()
	if err := decodeResponse(answer.Payload, got, m.Budget, false); err != nil {
		return resp, err
	}
	return got, nil
}

// Call calls the method each time that the sequence is ranged over, and yields
// the items as they come: what is not asked for waits at the server. Breaking
// off tells the server to stop. An error, as in Unary.Call, is the last item.
func (m Streaming[Req, Resp]) Call(ctx context.Context, via Caller, req Req) iter.Seq2[Resp, error] {
	return m.items(ctx, via, req, false)
}

// Lend is Call for who is done with each item before asking for the next: the
// item and all that it refers to are then used again. Large values are not
// copied, and nothing is left for the garbage collector.
func (m Streaming[Req, Resp]) Lend(ctx context.Context, via Caller, req Req) iter.Seq2[Resp, error] {
	return m.items(ctx, via, req, true)
}

func (m Streaming[Req, Resp]) items(ctx context.Context, via Caller, req Req, lend bool) iter.Seq2[Resp, error] {
	return func(yield func(Resp, error) bool) {
		items := 0
		counted := func(item Resp) bool {
			items++
			return yield(item, nil)
		}
		for failed := 1; ; failed++ {
			err := m.once(ctx, via, req, lend, counted)
			if err != nil && items == 0 && m.Repeatable && via.again(failed, err) {
				continue
			}
			if err != nil {
				var none Resp
				yield(none, err)
			}
			return
		}
	}
}

// once yields until the end, until yield has enough, or until an error.
func (m Streaming[Req, Resp]) once(ctx context.Context, via Caller, req Req, lend bool, yield func(Resp) bool) error {
	c, release, err := via.session(ctx)
	if err != nil {
		return err
	}
	defer release()
	x, err := c.begin(ctx, request{Method: m.Number}, req)
	if err != nil {
		return err
	}
	defer x.end()
	var item Resp
	for first := true; ; first = false {
		answer, err := x.next()
		if err != nil || x.finished { // what the last frame carries is no item, as tari_comms has it
			return err
		}
		if first || !lend {
			item = newMessage[Resp]()
		}
		if err := decodeResponse(answer.Payload, item, m.Budget, lend); err != nil {
			return err
		}
		if !yield(item) {
			return nil
		}
	}
}

// decodeResponse is decode with the error that an answer that is no good is.
func decodeResponse(payload []byte, resp proto.Message, b Budget, stays bool) error {
	switch decode(payload, resp, b.response(), stays) {
	case nil:
		return nil
	case errBudget:
		return &Status{ProtocolError, errBudget.Error()}
	}
	return &Status{MalformedResponse, errPrefix.Error()}
}
