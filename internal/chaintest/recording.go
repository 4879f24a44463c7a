package chaintest

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// Recording is what a base node answered to what it was asked, byte for byte.
type Recording struct {
	Node    string      `json:"node"`  // the program and its version
	Built   string      `json:"built"` // how
	Network string      `json:"network"`
	Calls   []*Recorded `json:"calls"`

	mu sync.Mutex
}

// Recorded is one call: its answers, and the status that ended it if that is not
// OK.
type Recorded struct {
	Service protocol.ID `json:"service"`
	Method  uint32      `json:"method"`
	Request Bytes       `json:"request"`
	Answers []Bytes     `json:"answers"`
	Status  *rpc.Status `json:"status,omitempty"`
}

// Bytes are written in hexadecimal.
type Bytes []byte

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.AppendDecode(nil, text)
	return err
}

// ReadRecording reads a file that Save wrote.
func ReadRecording(file string) (*Recording, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(Recording)
	return r, json.Unmarshal(text, r)
}

// Save writes the recording to a file.
func (r *Recording) Save(file string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// Replay lets a server answer as the recorded node did. What that was not asked
// is not found.
func (r *Recording) Replay(s Server) error {
	return register(s, func(_ context.Context, service protocol.ID, method uint32, request []byte) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			for _, c := range r.Calls {
				if c.Service != service || c.Method != method || string(c.Request) != string(request) {
					continue
				}
				for _, answer := range c.Answers {
					if !yield(answer, nil) {
						return
					}
				}
				if c.Status != nil {
					yield(nil, c.Status)
				}
				return
			}
			yield(nil, notFound("not recorded"))
		}
	})
}

// Record lets a server ask a base node whatever it is asked, and notes what that
// answers; to is where a service of the node is called. A call whose session ends
// before the first answer is made again, as Client would: tari_comms ends one when
// the next request comes while it is still busy with the end of the last answer.
func (r *Recording) Record(s Server, to func(protocol.ID) rpc.Caller) error {
	return register(s, func(ctx context.Context, service protocol.ID, method uint32, request []byte) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			call := &Recorded{Service: service, Method: method, Request: request}
			for again := true; again; {
				again = false
				for answer, err := range (rpc.Raw{Number: method}).Call(ctx, to(service), request) {
					if _, ended := errors.AsType[*rpc.SessionError](err); ended && len(call.Answers) == 0 && ctx.Err() == nil {
						again = true
						break
					}
					if err != nil {
						call.Status, _ = errors.AsType[*rpc.Status](err)
					} else {
						call.Answers = append(call.Answers, append(Bytes(nil), answer...))
					}
					if !yield(answer, err) {
						return // whoever does not want all has asked for nothing worth keeping
					}
				}
			}
			if call.Status != nil && call.Status.Code == rpc.Forbidden {
				return // the last stream had not ended there: it will be asked again
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.Calls = append(r.Calls, call)
		}
	})
}

// source is where answers come from.
type source func(ctx context.Context, service protocol.ID, method uint32, request []byte) iter.Seq2[[]byte, error]

// register lets a server answer with what a source says.
func register(s Server, from source) error {
	return errors.Join(
		s.Register(basenode.SyncService,
			streamed(basenode.SyncBlocks, basenode.SyncService, from), streamed(basenode.SyncHeaders, basenode.SyncService, from),
			unary(basenode.GetHeaderByHeight, basenode.SyncService, from), unary(basenode.FindChainSplit, basenode.SyncService, from),
			unary(basenode.GetChainMetadata, basenode.SyncService, from)),
		s.Register(basenode.WalletService, unary(basenode.GetTipInfo, basenode.WalletService, from)),
		s.Register(basenode.MempoolService, unary(basenode.GetMempoolStats, basenode.MempoolService, from)),
	)
}

func streamed[Req, Resp proto.Message](m rpc.Streaming[Req, Resp], service protocol.ID, from source) rpc.Method {
	return rpc.Streaming[Req, *emptypb.Empty]{Number: m.Number, Budget: m.Budget}.Serve(func(ctx context.Context, _ peer.ID, req Req) iter.Seq2[*emptypb.Empty, error] {
		return func(yield func(*emptypb.Empty, error) bool) {
			for answer, err := range from(ctx, service, m.Number, bytesOf(req)) {
				if !yield(bare(answer), err) {
					return
				}
			}
		}
	})
}

func unary[Req, Resp proto.Message](m rpc.Unary[Req, Resp], service protocol.ID, from source) rpc.Method {
	return rpc.Unary[Req, *emptypb.Empty]{Number: m.Number, Budget: m.Budget}.Serve(func(ctx context.Context, _ peer.ID, req Req) (only *emptypb.Empty, err error) {
		only = new(emptypb.Empty)
		for answer, e := range from(ctx, service, m.Number, bytesOf(req)) {
			only, err = bare(answer), e
		}
		return only, err
	})
}

// bytesOf is a request as our client writes it.
func bytesOf(req proto.Message) []byte {
	b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(req) // it has just been read
	return b
}

// bare is a message that is written as these bytes, whatever they say.
func bare(b []byte) *emptypb.Empty {
	m := new(emptypb.Empty)
	m.ProtoReflect().SetUnknown(append([]byte(nil), b...))
	return m
}
