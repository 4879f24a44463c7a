// Package netns holds the tests that look at what leaves the machine, and at
// what becomes of a node when its network is not good. Each runs in a network
// namespace of its own that has loopback, an interface with a default route to
// nowhere, and a name server that never answers: whatever a leaky node would
// send to the outside is counted there and lost.
//
// Others join it to a second namespace, where peers are: by a cable that is
// taken out and put in again, or by a wire that delays, loses and reorders
// packets. And one has a whole network in it, at addresses as the internet has
// them, which is crawled.
//
// The tests carry the build tag "interop" and need Linux with /dev/net/tun, root,
// and the commands ip, nft and tor.
package netns
