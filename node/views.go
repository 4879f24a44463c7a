package node

import "time"

// Status is how a node is. Its JSON is that of "tari-libp2p status --json".
type Status struct {
	Running     bool             `json:"running"`
	Network     string           `json:"network"`
	Accepts     []string         `json:"accepts"` // networks, the first byte of each connection tells which
	PublicKey   string           `json:"public_key"`
	NodeID      string           `json:"node_id"`
	Addresses   []string         `json:"addresses"`        // PUBKEY::ADDRESS, where we listen or are reached
	Public      []Reachability   `json:"public_addresses"` // that we claim, and whether we answer there
	DataDir     string           `json:"data_dir"`
	UptimeSec   int64            `json:"uptime_seconds"`
	Peers       int              `json:"peers"` // in the book
	Connections []ConnectionInfo `json:"connections"`

	Connectivity *ConnectivityInfo `json:"connectivity"` // null while nothing keeps the node connected
}

// ConnectivityInfo is how well a running node is connected.
type ConnectivityInfo struct {
	State    string `json:"state"`    // initializing, offline, degraded or online
	Nodes    int    `json:"nodes"`    // connected
	Clients  int    `json:"clients"`  // connected wallets
	Outbound int    `json:"outbound"` // connections that we dialed
	Inbound  int    `json:"inbound"`
	Dialing  int    `json:"dialing"` // at the moment, of our own accord
	Paused   bool   `json:"paused"`  // nobody answers: no more is dialed for a while
	NoLink   bool   `json:"no_link"` // this machine has no network
}

// ConnectionInfo is one connection of a running node.
type ConnectionInfo struct {
	Peer      string `json:"peer"` // public key
	NodeID    string `json:"node_id"`
	Address   string `json:"address"`
	Direction string `json:"direction"`
	Dialect   string `json:"dialect"`
	UserAgent string `json:"user_agent"`
	Features  string `json:"features"`
	AgeSec    int64  `json:"age_seconds"`
	Streams   int    `json:"streams"`

	AddressClass string `json:"address_class"` // see ClassOf
	RoundTripUS  int64  `json:"round_trip_us"` // as last measured; 0 = not yet
	Received     uint64 `json:"received"`      // messages of the peer, over all of its connections
	Sent         uint64 `json:"sent"`
}

// IdentityInfo is what may be told about an identity: all but the secret key.
type IdentityInfo struct {
	PublicKey string   `json:"public_key"`
	NodeID    string   `json:"node_id"`
	PeerID    string   `json:"peer_id"` // go-libp2p's form of the public key
	Features  string   `json:"features"`
	Addresses []string `json:"public_addresses"`
	File      string   `json:"file"`
}

// PeerList is the peer book.
type PeerList struct {
	Peers []PeerInfo `json:"peers"`
}

// PeerInfo is one peer of the book.
type PeerInfo struct {
	PublicKey string     `json:"public_key"`
	NodeID    string     `json:"node_id"`
	Addresses []string   `json:"addresses"` // multiaddrs
	Features  string     `json:"features"`
	UserAgent string     `json:"user_agent"`
	Protocols []string   `json:"protocols"`
	LastSeen  *time.Time `json:"last_seen"`
	Banned    *BanInfo   `json:"banned"`
	Connected bool       `json:"connected"`
}

// PeerDetail is all that the book knows of a peer.
type PeerDetail struct {
	PeerInfo
	PeerID  string        `json:"peer_id"` // go-libp2p's form of the public key
	Network string        `json:"network"` // where we met last
	Seed    bool          `json:"seed"`
	Allowed bool          `json:"allowed"` // on the allow list
	Added   *time.Time    `json:"added"`
	Claim   *ClaimInfo    `json:"claim"`        // the newest signed one, or null
	Dials   []AddressInfo `json:"address_info"` // the addresses, as dialing them went
}

// ClaimInfo is what a peer has signed of itself.
type ClaimInfo struct {
	Updated   time.Time `json:"updated"`
	Addresses []string  `json:"addresses"` // all of them, also those that we would not dial
	Features  string    `json:"features"`
}

// AddressInfo is how dialing an address of a peer went.
type AddressInfo struct {
	Address  string     `json:"address"`
	Source   string     `json:"source"` // who says so: relayed, claimed or configured
	LastSeen *time.Time `json:"last_seen"`
	LastFail *time.Time `json:"last_fail"`
	Failure  string     `json:"failure,omitempty"` // why the last dial failed
	Attempts uint32     `json:"attempts"`
	Failures uint32     `json:"failures"` // since the last success
	TookUS   int64      `json:"took_us"`  // the last successful dial
}

// Removed is a peer that the book has forgotten, but for its ban.
type Removed struct {
	PublicKey string `json:"public_key"`
	NodeID    string `json:"node_id"`
	Connected bool   `json:"connected"` // still, so that its next connection brings it back
}

// BanInfo is a ban that has not run out.
type BanInfo struct {
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
}

// Banned is a peer and its ban; Closed is how many connections a new ban has ended.
type Banned struct {
	PublicKey string   `json:"public_key"`
	NodeID    string   `json:"node_id"`
	Banned    *BanInfo `json:"banned"`
	Closed    int      `json:"closed"`
}

// Unbanned is a peer that is let in again, and whether it was not before.
type Unbanned struct {
	PublicKey string `json:"public_key"`
	NodeID    string `json:"node_id"`
	WasBanned bool   `json:"was_banned"`
}

// UnbannedAll is how many bans held when all were lifted.
type UnbannedAll struct {
	Lifted int `json:"lifted"`
}

// BanList is all bans that hold.
type BanList struct {
	Bans []Banned `json:"bans"`
}

// AllowedPeer is a peer, whether it is on the allow list, and its ban: of one that is on it, a person's.
type AllowedPeer struct {
	PublicKey string   `json:"public_key"`
	NodeID    string   `json:"node_id"`
	Allowed   bool     `json:"allowed"`
	Banned    *BanInfo `json:"banned"`
}

// AllowList is the allow list.
type AllowList struct {
	Peers []AllowedPeer `json:"peers"`
}

// AllowChange is a peer that was put on the allow list or taken off it, and how it was before.
type AllowChange struct {
	AllowedPeer
	WasAllowed bool `json:"was_allowed"`
	WasBanned  bool `json:"was_banned"` // if it is not now, the ban was lifted
}

// AllowChanges is what Allow or Disallow has done.
type AllowChanges struct {
	Peers []AllowChange `json:"peers"`
}

// Dialed is a connection that was asked for.
type Dialed struct {
	Peer      string `json:"peer"`
	NodeID    string `json:"node_id"`
	Address   string `json:"address"`
	Dialect   string `json:"dialect"`
	UserAgent string `json:"user_agent"`
	Already   bool   `json:"already"` // it was there before
	ElapsedMS int64  `json:"elapsed_ms"`
}

// Sent says that a message was written to the peer's connection.
type Sent struct {
	Peer      string `json:"peer"`
	Bytes     int    `json:"bytes"`
	ElapsedMS int64  `json:"elapsed_ms"`
}
