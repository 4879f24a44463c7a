// Package crawl finds the peers of a Tari network: it begins at some, asks each
// for those that it knows, verifies what it is told, and goes there.
//
// It is a polite guest. It visits a peer once, over one connection that it
// closes as soon as it has its answer; four peers at one IP address and 32 in all
// at a time, well below what a tari_comms listener takes from one source. A peer
// that has no time is asked again a minute later, and twice that after that. And
// it is no weapon: what peers say of others can make it dial an address once,
// whoever claims it, and leaves a host alone when eight peers in a row were not
// there, or 256 were to be. Addresses that nobody may make us dial are not tried: see tari.Host.
//
// With a journal a crawl that ended in any way, by kill -9 too, goes on where it
// was.
package crawl
