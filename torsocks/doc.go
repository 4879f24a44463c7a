// Package torsocks reaches Tari peers through a SOCKS5 proxy, above all Tor's.
//
// A Dialer makes one connection through the proxy: names are resolved by the
// proxy and never here, each step has its own deadline, and every refusal is a
// *ReplyError that says what the proxy said, with Tor's own codes (0xf0 to
// 0xf7) spelled out. A Transport is the same behind go-libp2p's
// transport.Transport: it dials /onion3 addresses, or everything, over the
// host's upgrader.
//
// Peers do not share circuits: unless the Dialer has a user name of its own,
// the name of the peer is sent as the SOCKS user, which Tor takes as a reason
// to use another circuit (IsolateSOCKSAuth, on by default).
package torsocks
