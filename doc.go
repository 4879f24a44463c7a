// Package tari is Tari's peer-to-peer network for go-libp2p programs: a host.Host that speaks the wire of tari_comms.
//
// Call [New] with a key; the [Host] listens, dials and serves streams like any host of go-libp2p, and protocols written for one run
// on it unmodified. A peer's public key, its node id and its peer id are functions of each other (see package tarikey).
//
// Below it, package dialect turns a connection into substreams; beside it, packages messagingproto and rpc speak Tari's own protocols on any
// host.Host.
package tari
