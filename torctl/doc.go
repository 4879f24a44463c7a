// Package torctl keeps an onion service alive in a Tor that somebody else
// runs.
//
// Start a Service: it connects to Tor's control port, authenticates, adds the
// onion service of a key file and watches it. When Tor restarts, moves its
// ports, drops or stalls the control connection, it comes back with the same
// key, so with the same address, and never with a second service. Tor need not
// be up when it starts.
//
// A Control is one control connection, for tools that only want to ask.
package torctl
