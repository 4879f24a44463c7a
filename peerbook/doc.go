// Package peerbook remembers peers across restarts: who they claim to be,
// where they were reached, and until when they are banned.
//
// Open a folder, or OpenOn any go-datastore; feed the book with Claimed (a peer
// said who it is), Dialed (an address was tried) and Put (seeds and other
// records). Ask it for one peer (Get, GetNode, Resolve), for some (List, Find,
// Random, Closest), for whom to dial (Candidates) and about bans (Banned,
// Bans). Ban, Unban, Allow, Protect and Remove are decisions about a peer;
// Export and Import carry the book elsewhere. A Book is a
// connmgr.ConnectionGater that refuses banned peers, ready for the host's
// configuration; tell it by Config.Connected who is connected, and call Collect
// now and then.
//
// All reads come from memory. What a peer claims and every change of a ban is
// on disk when the call returns, so a call can take a disk's time; statistics
// of dials follow with the next such write. A record that does not decode is
// set aside and counted, and never stops a start; files that were damaged while
// the book was closed are set aside too, and made anew from its backup.
package peerbook
