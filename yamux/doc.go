// Package yamux is the stream muxer of both Tari dialects.
//
// Give a [Muxer] to go-libp2p wherever it wants a network.Multiplexer, or call
// [Client] (on the side that dialed) or [Server] on a secured net.Conn. A
// [Session] opens and accepts streams; a [Stream] is a network.MuxedStream.
//
// Nothing that was received is lost: after the peer has closed a stream, reset
// it, said GoAway or broken the connection, reads first return everything that
// arrived, and streams that nobody accepted yet are still accepted. Nothing that
// was written is lost either: Close sends all that Write has taken, then a
// GoAway as the last frame, before it closes the connection.
//
// A session is read by who waits in AcceptStream, or on a connection of package
// noise in a stream's Read. Where nobody does, a goroutine is started for it within
// 20 ms. If a stream waits for the peer that is at once, or after a millisecond if
// AcceptStream was called before and may come back. A Read that was served is
// waited for that long too, unless something else has just begun to wait.
//
// The two dialects count windows differently; [WindowRule] is that difference.
package yamux
