// Package rpc is Tari's RPC over the streams of a host: unary calls and calls
// that answer with a stream of items, as tari_comms has them.
//
// A method is a value that both sides share, Unary or Streaming, with its number
// and the types of its messages. A server makes a Server with NewServer and
// registers what the values' method Serve returns. A client calls their method
// Call through a session from Connect, or through a Pool of sessions.
//
// # On the wire
//
// One stream is one session with one service, whose name is the stream's
// protocol. Everything on it is a frame, a u32 length, big-endian, and a protobuf
// message. Calls of one session are one after the other; an answer or an item is
// one frame of at most 8 MiB and some bytes. The type session draws it.
//
// # What is bounded
//
// A frame costs no more memory than has arrived of it, a message is not decoded
// unless its elements are within the method's Budget, a handler's items wait for
// the client in 64 KiB. A Server has limits for handshakes, for sessions in all
// and of one peer, for sessions without a call and for the time of a call.
package rpc
