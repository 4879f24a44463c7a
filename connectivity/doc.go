// Package connectivity decides how many connections a node keeps, to whom, and
// what it says when there are too few.
//
// Start a Manager with the Parts it works with: how to dial, where to find
// peers, which connections there are. Tell it with Changed that a connection
// came or went and with LinkChanged what happened to the machine's network; Hold
// the peers that must stay connected; read Events, or WaitOnline; Close it.
//
// It holds some peers always and others as a pool: peers that it dials by
// itself, spread over the networks they are in, so that nobody who has many
// addresses in few networks can surround the node. A peer that does not answer
// is left alone for longer and longer. Nothing that happens while this
// machine has no network, or the node no connection at all, is held against a
// peer.
package connectivity
