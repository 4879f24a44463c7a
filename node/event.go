package node

import (
	"time"

	tari "github.com/tari-libp2p/tari-libp2p"
)

// EventKind says what happened.
type EventKind string

// The kinds of events. New ones may be added; readers skip what they do not know.
const (
	EventReady          EventKind = "ready"           // the node listens; Addresses
	EventConnected      EventKind = "connected"       // Peer, Address, Direction, Dialect, UserAgent, Features, Stages
	EventDisconnected   EventKind = "disconnected"    // Peer, Address, Direction
	EventMessage        EventKind = "message"         // Peer, Message, Size
	EventBanned         EventKind = "banned"          // Peer, Error (the reason), Seconds
	EventUnbanned       EventKind = "unbanned"        // Peer: our user let it in again
	EventSpared         EventKind = "spared"          // Peer, Error: for this it would be banned, but it is on the allow list
	EventStateChanged   EventKind = "state_changed"   // State, Nodes: how well the node is connected
	EventDialFailed     EventKind = "dial_failed"     // Peer, Error: a configured peer, each time the reason changes
	EventRefused        EventKind = "refused"         // Address, Direction, Error, Peer if known: a handshake that failed, with its Stages, or a connection that got none
	EventRefusals       EventKind = "refusals"        // Refused: how many inbound connections the last minute's limits refused
	EventBookFailed     EventKind = "book_failed"     // Peer, Error: the peer book could not keep something
	EventTor            EventKind = "tor"             // Address of the onion service; Error while Tor does not have it
	EventMissed         EventKind = "missed"          // Missed: a watcher was too slow for that many events
	EventIdentityBackup EventKind = "identity_backup" // Path: a file that held no identity was set aside
)

// Event is something that a node tells while it runs. Texts that come from a peer (UserAgent, Error, Message) are as
// the peer sent them: escape them before they reach a terminal.
type Event struct {
	Time      time.Time     `json:"time"`
	Kind      EventKind     `json:"event"`
	Peer      string        `json:"peer,omitempty"`      // public key, hex
	Address   string        `json:"address,omitempty"`   // multiaddr of the connection
	Addresses []string      `json:"addresses,omitempty"` // PUBKEY::ADDRESS strings
	Direction string        `json:"direction,omitempty"` // "inbound" or "outbound"
	Dialect   string        `json:"dialect,omitempty"`
	UserAgent string        `json:"user_agent,omitempty"`
	Features  string        `json:"features,omitempty"`
	Message   []byte        `json:"message,omitempty"` // base64 in JSON; valid until OnEvent returns
	Size      *int          `json:"size,omitempty"`    // of the message, in bytes
	Seconds   int64         `json:"seconds,omitempty"` // length of a ban
	Refused   tari.Refusals `json:"refused,omitempty"` // by reason
	Path      string        `json:"path,omitempty"`
	State     string        `json:"state,omitempty"` // initializing, offline, degraded or online
	Nodes     *int          `json:"nodes,omitempty"` // that we are connected to
	Missed    int           `json:"missed,omitempty"`
	Error     string        `json:"error,omitempty"`
	Stages    []Stage       `json:"stages,omitempty"` // of the handshake, in order; before them StageConnect if we dialed
}
