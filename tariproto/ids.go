package tariproto

import "github.com/libp2p/go-libp2p/core/protocol"

// The protocol ids this module speaks.
const (
	// Messaging carries one-way messages between today's nodes.
	Messaging = protocol.ID("t/msg/0.1")
	// MessagingSeed is the same for nodes of the tari_comms 0.8 generation.
	MessagingSeed = protocol.ID("/tari/messaging/0.1.0")
	// IdentitySeed is the first substream of a connection in the tari_comms 0.8
	// generation; today's nodes exchange identities before the multiplexer.
	IdentitySeed = protocol.ID("/tari/identity/1.0.0")
)
