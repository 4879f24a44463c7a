// Package loadtest puts a host under the load that strangers can make: connections that are held, that stall, that flood, that use up
// descriptors and memory, and that hang when the host closes. It holds only tests.
//
// Each test has a small form, which counts and looks at typed refusals, and runs with every change. With TARI_LIBP2P_LONG=1 the full
// sizes run too, and print what they measured, one line each: "row: what | target | measured". Where the memory, time or descriptors
// of the host are measured, the strangers are in another process.
package loadtest
