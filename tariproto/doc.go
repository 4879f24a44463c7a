// Package tariproto is what every Tari substream begins with: the negotiation
// of its protocol and, for most protocols, frames of a 32-bit length. It knows
// neither connections nor multiplexers, only io.Reader and io.Writer; whoever
// calls it sets the deadline (Tari's is 10 s for a negotiation).
//
// The side that opens a substream calls Select, or sends AppendOptimistic's
// bytes before its first data if it knows that the remote speaks the protocol.
// The other side calls Accept. Then both may use ReadFrame and WriteFrame.
package tariproto
