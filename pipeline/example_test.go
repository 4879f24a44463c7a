package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/pipeline"
)

// stack is a host, its messages, and pipelines between them and two queues: the
// application puts what it has to say into one and takes what it hears from the
// other.
type stack struct {
	host     *tari.Host
	messages *messagingproto.Service
	in       *pipeline.Inbound
	out      *pipeline.Outbound

	say   chan pipeline.Message
	heard chan pipeline.Message
	ended chan struct{}
}

func newStack(log slog.Handler) (*stack, error) {
	host, err := tari.New(tari.Config{
		Network:            dialect.Localnet,
		Listen:             []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
		AllowTestAddresses: true,
	})
	if err != nil {
		return nil, err
	}
	messages, err := messagingproto.New(host, messagingproto.Config{OnViolation: host.Offence})
	if err != nil {
		return nil, errors.Join(err, host.Close())
	}
	s := &stack{
		host: host, messages: messages, ended: make(chan struct{}),
		say: make(chan pipeline.Message, 10), heard: make(chan pipeline.Message, 10),
	}
	s.in = pipeline.NewInbound(pipeline.Into(s.heard), pipeline.InboundConfig{
		Middleware: []pipeline.Middleware{
			pipeline.Logging(log, "inbound"),
			pipeline.RateLimit(pipeline.RateLimitConfig{Rate: 1000.0 / 60, Burst: 1000, Over: pipeline.Report}),
			pipeline.Dedup(pipeline.DedupConfig{AnyPeer: true}),
			pipeline.Unpack,
		},
		OnError: host.Offence, // bans for errors that ask for it
	})
	s.out = pipeline.NewOutbound(messages, pipeline.OutboundConfig{
		Middleware: []pipeline.Middleware{pipeline.Logging(log, "outbound"), pipeline.Pack},
	})
	messages.Handle(s.in.Handle)
	go s.speak()
	return s, nil
}

// speak sends what the application says, in order, until it has no more to say.
func (s *stack) speak() {
	defer close(s.ended)
	for m := range s.say {
		if err := s.out.Send(context.Background(), m); err != nil {
			log.Print(err)
		}
	}
}

func (s *stack) close() error {
	close(s.say)
	<-s.ended
	return errors.Join(s.out.Close(), s.messages.Close(), s.in.Close(), s.host.Close())
}

// Two peers with pipelines: each message goes out as an envelope of two parts,
// and what was heard before is not heard again.
func Example() {
	quiet := slog.DiscardHandler
	alice, err := newStack(quiet)
	if err != nil {
		log.Fatal(err)
	}
	bob, err := newStack(quiet)
	if err != nil {
		log.Fatal(err)
	}
	alice.host.Peerstore().AddAddrs(bob.host.ID(), bob.host.Addrs(), peerstore.PermanentAddrTTL)

	for _, text := range []string{"hello", "hello", "and goodbye"} {
		alice.say <- pipeline.Message{Peer: bob.host.ID(), Parts: [][]byte{[]byte("chat"), []byte(text)}}
	}
	for range 2 {
		m := <-bob.heard
		fmt.Printf("%s: %s, from alice: %v\n", m.Parts[0], m.Parts[1], m.Peer == alice.host.ID())
	}
	if err := errors.Join(alice.close(), bob.close()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// chat: hello, from alice: true
	// chat: and goodbye, from alice: true
}

// A middleware of the application's own: it sends every message to each peer of
// a group.
func ExampleMiddleware() {
	group := []peer.ID{"ann", "ben", "cleo"}
	toGroup := func(next pipeline.Handler) pipeline.Handler {
		return func(ctx context.Context, m pipeline.Message) error {
			var failed error
			for _, p := range group {
				failed = errors.Join(failed, next(ctx, pipeline.Message{Peer: p, Body: m.Body}))
			}
			return failed
		}
	}
	send := pipeline.Chain(func(_ context.Context, m pipeline.Message) error {
		fmt.Printf("%s is sent %q\n", string(m.Peer), m.Body)
		return nil
	}, toGroup)
	if err := send(context.Background(), pipeline.Message{Body: []byte("hi")}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// ann is sent "hi"
	// ben is sent "hi"
	// cleo is sent "hi"
}
