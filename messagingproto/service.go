package messagingproto

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// MaxMessage is the size of the largest message in bytes. It is a rule of the
// protocol: a peer that sends more is banned.
const MaxMessage = tariproto.MaxFrame

// Rules of tari_comms.
const (
	defaultTTL          = 60 * time.Second
	defaultWriteTimeout = 30 * time.Second
	defaultDialTimeout  = 60 * time.Second
	establishedReserve  = 1 << 20 // bytes an open queue may always hold, whatever the others hold
	maxReplacements     = 10      // new inbound streams per peer and second
	maxStopping         = 4       // replaced inbound streams of one peer that still drain
	drainTime           = 2 * time.Second
	violationBan        = 10 * time.Minute
)

// Our own choice: how long Close waits for queued messages to leave.
const flushTime = 2 * time.Second

// Config is what New needs to know. Its zero value works.
type Config struct {
	// Protocols are the ids to offer and to accept, the preferred one first.
	// nil means t/msg/0.1 and then /tari/messaging/0.1.0.
	Protocols []protocol.ID
	// TTL is how long a message may wait, retries included. 0 means 60 s.
	TTL time.Duration
	// WriteTimeout is how long a peer may take to accept one write. 0 means
	// 30 s. A write may be given up one thirtieth of it too early.
	WriteTimeout time.Duration
	// DialTimeout is how long connecting and opening a stream may take in all.
	// 0 means 60 s.
	DialTimeout time.Duration
	// Limits bound the queues of messages to be sent.
	Limits Limits
	// OnViolation is told of peers that break the protocol; the error has a
	// method BanFor() time.Duration. It is called on the stream's goroutine and
	// must not block. nil means that the stream is reset and nothing else.
	OnViolation func(peer.ID, error)
}

// Limits bound the queues of messages to be sent. 0 stands for the value of
// tari_comms given with each field. Bytes are those of the messages alone.
type Limits struct {
	PeerMessages     int // messages queued for one peer: 500
	PeerBytes        int // bytes queued for one peer: 64 MiB
	DialingPeerBytes int // bytes queued for a peer without a stream: 8 MiB
	DialingBytes     int // bytes queued for all peers without a stream: 64 MiB
	TotalBytes       int // bytes queued for all peers: 512 MiB; a queue with a stream may hold 1 MiB regardless
}

// Handler takes one message. The bytes are valid until it returns; whoever
// wants to keep them copies them. While it runs, the peer's stream is not read.
// ctx ends when the service is closed, and Close waits for the handler to return.
//
// Messages of one stream are handed over in order and one at a time. When a
// peer opens a new stream, the rest of its old one may be handed over at the
// same time.
type Handler func(ctx context.Context, from peer.ID, message []byte)

// Service sends and receives messages over one host. It is made by New and
// safe for concurrent use.
type Service struct {
	host   host.Host
	cfg    Config
	ctx    context.Context // ends when Close has flushed
	cancel context.CancelFunc
	notify *network.NotifyBundle

	born    time.Time
	recent  atomic.Pointer[outbox] // what was used last; nil once closed
	total   atomic.Int64           // bytes in all outboxes
	dialing atomic.Int64           // bytes in outboxes without a stream

	handler atomic.Pointer[Handler]

	waiters sync.Pool // those of Send; per service, since a channel of one synctest bubble is of no use in another
	counts  counts

	work sync.WaitGroup // outbox runs and inbound streams
	done chan struct{}  // closed when Close has finished

	mu       sync.Mutex // guards what follows
	closed   bool
	outboxes map[peer.ID]*outbox
	inbound  map[peer.ID]*inboundPeer
	young    map[peer.ID]*young
}

// New makes a service over h. It opens and accepts nothing yet: see Handle and
// Send.
func New(h host.Host, cfg Config) (*Service, error) {
	if h == nil {
		return nil, errors.New("messaging: no host")
	}
	if cfg.Protocols == nil {
		cfg.Protocols = []protocol.ID{tariproto.Messaging, tariproto.MessagingSeed}
	}
	cfg.TTL = orDefault(cfg.TTL, defaultTTL)
	cfg.WriteTimeout = orDefault(cfg.WriteTimeout, defaultWriteTimeout)
	cfg.DialTimeout = orDefault(cfg.DialTimeout, defaultDialTimeout)
	l := &cfg.Limits
	l.PeerMessages = orDefault(l.PeerMessages, 500)
	l.PeerBytes = orDefault(l.PeerBytes, 64<<20)
	l.DialingPeerBytes = orDefault(l.DialingPeerBytes, 8<<20)
	l.DialingBytes = orDefault(l.DialingBytes, 64<<20)
	l.TotalBytes = orDefault(l.TotalBytes, 512<<20)

	s := &Service{
		host:     h,
		cfg:      cfg,
		done:     make(chan struct{}),
		waiters:  sync.Pool{New: newWaiter},
		born:     time.Now(),
		outboxes: make(map[peer.ID]*outbox),
		young:    make(map[peer.ID]*young),
		inbound:  make(map[peer.ID]*inboundPeer),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.notify = &network.NotifyBundle{ConnectedF: s.connected, DisconnectedF: s.disconnected}
	h.Network().Notify(s.notify)
	return s, nil
}

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// now is the service's clock: reading it costs half of what time.Now does.
func (s *Service) now() time.Duration { return time.Since(s.born) }

// Handle registers the protocols with the host and hands every message that
// arrives to handler. A second call replaces the handler. Before the first call
// peers see the protocols as not supported.
func (s *Service) Handle(handler Handler) {
	first := s.handler.Swap(&handler) == nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if !first || s.closed {
		return
	}
	for _, id := range s.cfg.Protocols {
		s.host.SetStreamHandler(id, s.serve)
	}
}

// Close stops accepting messages, gives those queued up to 2 s to leave, ends
// the streams and waits for all handlers to return. Messages that could not
// leave are reported with the reason Closed. A second call waits for the first.
func (s *Service) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.done
		return nil
	}
	s.closed = true
	s.recent.Store(nil)
	boxes := make([]*outbox, 0, len(s.outboxes))
	for _, o := range s.outboxes {
		boxes = append(boxes, o)
	}
	for p, y := range s.young {
		y.timer.Stop()
		delete(s.young, p)
	}
	s.mu.Unlock()
	defer close(s.done)

	if s.handler.Load() != nil {
		for _, id := range s.cfg.Protocols {
			s.host.RemoveStreamHandler(id)
		}
	}
	s.host.Network().StopNotify(s.notify)
	s.flush(boxes)
	s.cancel()
	for _, o := range boxes {
		o.close()
	}
	s.closeInbound()
	s.work.Wait()
	return nil
}

// flush waits until the outboxes are empty, at most flushTime.
func (s *Service) flush(boxes []*outbox) {
	timeout := time.NewTimer(flushTime)
	defer timeout.Stop()
	for _, o := range boxes {
		select {
		case <-o.idle():
		case <-timeout.C:
			return
		}
	}
}

// disconnected lets go of a stream whose connection is gone, so that nothing is
// kept for peers that left.
func (s *Service) disconnected(_ network.Network, c network.Conn) {
	s.lostYoung(c)
	s.mu.Lock()
	o := s.outboxes[c.RemotePeer()]
	s.mu.Unlock()
	if o != nil {
		o.disconnected(c)
	}
}

// admit counts size bytes against the limits that all peers share.
func (s *Service) admit(size int, dialing, reserve bool) error {
	n := int64(size)
	if s.total.Add(n) > int64(s.cfg.Limits.TotalBytes) && !reserve {
		s.total.Add(-n)
		return errTotalBytes
	}
	if dialing && s.dialing.Add(n) > int64(s.cfg.Limits.DialingBytes) {
		s.dialing.Add(-n)
		s.total.Add(-n)
		return errDialingBytes
	}
	return nil
}
