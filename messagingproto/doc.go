// Package messagingproto sends and receives fire-and-forget messages between
// Tari peers: the protocols t/msg/0.1 and /tari/messaging/0.1.0 of tari_comms.
// It needs nothing but a go-libp2p host.Host.
//
// Call [New] with the host, [Service.Handle] with the function that takes what
// arrives, then [Service.Send] as often as you like and [Service.Close] at the
// end, before the host is closed.
//
// # On the wire
//
// A message is a u32 length, big-endian, and that many bytes, at most 8 MiB;
// what they mean is not this package's business. A stream carries messages in
// one direction only, from the peer that opened it; so two peers that talk to
// each other have two streams.
//
// # What is promised
//
// Messages to one peer leave in the order in which Send was called, and arrive in
// it as long as the connection stays the same. Send
// returns nil when the message has been written to the stream; there is no
// acknowledgement in the protocol, so a connection that dies afterwards can
// still lose it. A message whose write was interrupted is written once more on
// a new stream, so a peer can receive it twice. Every message that could not be
// sent is reported with a [*SendError]; none vanishes silently. [Service.SendMany]
// and [Service.Broadcast] give a [Result] for each message, [Service.Stats] counts
// them.
//
// # What is bounded
//
// Messages wait in a queue for each peer, bounded in number and in bytes (see
// [Limits]). Incoming messages do not wait in a queue of ours at all: the
// handler runs on the stream's own goroutine, and while it runs the stream is
// not read, so a fast peer is slowed down by its window.
package messagingproto
