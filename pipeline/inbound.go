package pipeline

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"
)

// defaultInbound is how many messages tari_comms handles at once unless told
// otherwise; its base node says 100.
const defaultInbound = 50

// InboundConfig is what NewInbound needs to know. Its zero value works.
type InboundConfig struct {
	Middleware []Middleware // the first one meets a message first
	// Concurrency is how many messages are handled at once. 0 means 50. The
	// others wait in their streams.
	Concurrency int
	// OnError is told of each message whose handling failed, also by a panic (see
	// PanicError). An error with a method BanFor() time.Duration asks for a ban of
	// the peer. It is called on the stream's goroutine. nil means that nobody is.
	OnError func(from peer.ID, err error)
}

// Inbound handles messages that arrive.
type Inbound struct {
	handler Handler
	onError func(peer.ID, error)
	slots   *slots
}

// NewInbound returns a pipeline that ends in last.
func NewInbound(last Handler, cfg InboundConfig) *Inbound {
	if cfg.Concurrency == 0 {
		cfg.Concurrency = defaultInbound
	}
	return &Inbound{handler: Chain(last, cfg.Middleware...), onError: cfg.OnError, slots: newSlots(cfg.Concurrency)}
}

// Handle handles one message; it is a messagingproto.Handler. It returns when the
// message is through.
func (p *Inbound) Handle(ctx context.Context, from peer.ID, body []byte) {
	if err := p.handle(ctx, Message{Peer: from, Body: body}); err != nil && p.onError != nil {
		p.onError(from, err)
	}
}

func (p *Inbound) handle(ctx context.Context, m Message) error {
	if err := p.slots.enter(ctx); err != nil {
		return err
	}
	defer p.slots.leave()
	return safely(p.handler, &run{Context: ctx, slots: p.slots}, m)
}

// Close refuses messages that have not got their turn and waits for handlers that
// run. It does not end their contexts: closing the messaging service does.
func (p *Inbound) Close() error {
	p.slots.close()
	return nil
}
