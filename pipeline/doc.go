// Package pipeline puts functions of an application around the messages of
// messagingproto: middleware on the way in and on the way out, as tari_comms'
// pipelines do with tower services.
//
// A [Handler] takes one message; a [Middleware] makes a handler of the next one.
// [NewInbound] runs them for what arrives: give its Handle to
// messagingproto's Handle. [NewOutbound] runs them for what is to be sent: use
// its Send instead of messagingproto's. Ready-made are [Logging], [Metrics],
// [RateLimit], [Dedup], and [Pack] and [Unpack] for envelopes of several parts.
//
// # On the way in
//
// Handlers run on the goroutine that reads the peer's stream. While one runs, or
// waits for its turn, nothing is read from that stream and the peer has to wait:
// there is no queue in between that could fill. Messages of one peer are handled
// in order and one at a time, those of different peers side by side, at most
// Concurrency at once.
//
// # On the way out
//
// A message may become none, one or many: a middleware calls next as often as it
// likes. What it takes until the messages are queued is limited to 10 s; how
// long they may then wait for the peer is messagingproto's business.
//
// # At the end
//
// Close the outbound pipeline first, then messagingproto's service, which ends
// the contexts of handlers, then the inbound pipeline. Each waits for what it runs.
package pipeline
