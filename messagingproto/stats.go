package messagingproto

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Stats is what a Service has done since New, and what it holds now. The names
// tari_comms has for the same are given where it has one.
type Stats struct {
	Sent      uint64            // messages written to a stream
	SentBytes uint64            // their bytes
	SentAgain uint64            // messages of Sent that were written once more because a tie between connections may have lost them
	Failed    map[Reason]uint64 // messages that could not be sent (outbound_dropped_total); reasons that did not occur are absent

	Received      uint64 // messages handed to the handler (inbound_message_count)
	ReceivedBytes uint64 // their bytes
	Refused       uint64 // streams of peers that opened them too often
	Violations    uint64 // frames above MaxMessage

	Queued       int // messages that wait or are being written
	QueuedBytes  int // their bytes
	DialingBytes int // those of them for peers without a stream
	OutStreams   int // streams to peers
	InStreams    int // streams from peers, replaced ones that still end included (num_sessions)
}

// counts are the counters of a Service.
type counts struct {
	sent, sentBytes, sentAgain                 atomic.Uint64
	failed                                     [reasons]atomic.Uint64
	received, receivedBytes, refused, offences atomic.Uint64
}

// Stats returns the counters. They are read one after the other, so that they
// may differ by what happens meanwhile.
func (s *Service) Stats() Stats {
	c := &s.counts
	st := Stats{
		Sent:          c.sent.Load(),
		SentBytes:     c.sentBytes.Load(),
		SentAgain:     c.sentAgain.Load(),
		Failed:        make(map[Reason]uint64),
		Received:      c.received.Load(),
		ReceivedBytes: c.receivedBytes.Load(),
		Refused:       c.refused.Load(),
		Violations:    c.offences.Load(),
		QueuedBytes:   int(s.total.Load()),
		DialingBytes:  int(s.dialing.Load()),
	}
	for r := range c.failed {
		if n := c.failed[r].Load(); n > 0 {
			st.Failed[Reason(r)] = n
		}
	}
	s.mu.Lock()
	boxes := slices.Collect(maps.Values(s.outboxes))
	for _, p := range s.inbound {
		st.InStreams += len(p.stopping)
		if p.current != nil {
			st.InStreams++
		}
	}
	s.mu.Unlock()
	for _, o := range boxes {
		o.mu.Lock()
		st.Queued += o.messages
		if o.stream != nil {
			st.OutStreams++
		}
		o.mu.Unlock()
	}
	return st
}

// PeerStats counts the messages of one peer, each way since we have had streams that way without a break.
type PeerStats struct {
	Sent     uint64 // messages written to a stream
	Received uint64 // messages handed to the handler
}

// PeerStats returns the counters of all peers that have a stream, or messages that wait for one.
func (s *Service) PeerStats() map[peer.ID]PeerStats {
	all := make(map[peer.ID]PeerStats)
	s.mu.Lock()
	boxes := slices.Collect(maps.Values(s.outboxes))
	for id, p := range s.inbound {
		all[id] = PeerStats{Received: p.received.Load()}
	}
	s.mu.Unlock()
	for _, o := range boxes {
		o.mu.Lock()
		one := all[o.to]
		one.Sent = o.sent
		o.mu.Unlock()
		all[o.to] = one
	}
	return all
}

// sent tells and counts that messages, of size bytes together, were written.
func (s *Service) sent(messages []message, size int) {
	s.counts.sent.Add(uint64(len(messages)))
	s.counts.sentBytes.Add(uint64(size))
	for i := range messages {
		m := &messages[i]
		if m.receipt == sentBefore {
			s.counts.sentAgain.Add(1)
		}
		m.tell(Result{Tries: int(m.tries)})
	}
}

// failed tells and counts that a message could not be sent.
func (s *Service) failed(m *message, why Reason, cause error) {
	s.counts.failed[why].Add(1)
	tries := int(m.tries)
	m.tell(Result{Err: &SendError{Reason: why, Tries: tries, Err: cause}, Tries: tries})
}

// cancelled counts a message whose sender gave up before it was written.
func (s *Service) cancelled(tries int, cause error) Result {
	s.counts.failed[Cancelled].Add(1)
	return Result{Err: &SendError{Reason: Cancelled, Tries: tries, Err: cause}, Tries: tries}
}

// refuse counts a message that was not queued and returns its error.
func (s *Service) refuse(why Reason, cause error) error {
	s.counts.failed[why].Add(1)
	return &SendError{Reason: why, Err: cause}
}
