// Package tari is Tari's peer-to-peer network for go-libp2p programs: a
// host.Host that speaks the wire of tari_comms.
package tari
