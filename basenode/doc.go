// Package basenode reads a chain from Tari base nodes, over the RPC that they
// have for each other: the tip, headers, blocks, where two chains split, and
// how full the mempool is. It keeps no chain and is no node.
//
// A Client asks one peer. Peers asks several, one until it fails and then the
// next, and says why. A Cursor walks along a chain and says when blocks that it
// gave are no longer on it. Compare tells whether peers are on one chain, and
// from which block on they are not.
//
// # What is checked
//
// The hash of each header is computed, so that a header is refused unless it
// has the height that was asked for and, in a stream, follows on the one before.
// A peer that gives anything else is told from one that fails: see
// BadAnswerError.
//
// # What is not
//
// Proof of work: it needs RandomX, and the rules that set the difficulty. Whoever
// makes up a chain and a difficulty for it is believed, so ask peers that you
// trust, or several. Nor is a body checked against its header, which needs all
// outputs before it: the peer says with each body to which hash it belongs.
package basenode
