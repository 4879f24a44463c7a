// Package seeds finds the peers that a node starts from: in a list or a file of
// PUBKEY::ADDRESS strings, and in the TXT records of well-known names.
//
// Lookup asks for the names of a Config and returns a Report, which says for
// each name who answered, what was no peer and which servers failed. Read takes
// a file. What they find are claims of whoever runs the name or wrote the file:
// a peer proves its key when it is dialed.
//
// A Server is the system's resolver, a plain name server, or one that is asked
// by TLS (RFC 7858). With Config.DNSSEC only what a chain of signatures from a
// trust anchor proves is taken.
package seeds
