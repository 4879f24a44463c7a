// Package identityproto is how Tari peers tell each other who they are: the
// Claim, its signature, the rules it has to keep, and the two forms it has on
// the wire.
//
// Exchange speaks the modern form (a frame on the Noise connection, signed),
// ExchangeSubstream the form of 2020 (a message on the first substream,
// unsigned). Both send our claim and return the other side's, validated. An
// *Error says which rule was broken; its BanFor is how long tari_comms shuts out
// a peer for it.
package identityproto
