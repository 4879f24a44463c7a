// Package netns holds the tests that look at what leaves the machine. Each
// runs in a network namespace of its own that has loopback, an interface with a
// default route to nowhere, and a name server that never answers: whatever a
// leaky node would send to the outside is counted there and lost.
//
// The tests carry the build tag "interop" and need Linux, root, and the
// commands ip, nft and tor.
package netns
