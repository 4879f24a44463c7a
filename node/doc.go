// Package node puts the parts together: an identity file, a peer book, a tari.Host and messaging, in one data folder
// that one process owns.
//
// Call Start for a node, or Open to look into a data folder without starting one; ServeControl lets other processes of
// the same user reach a node over a Unix socket, and Reach finds whichever of the two is to be had. Ping goes through
// the stages of one connection with a throw-away identity and needs none of this.
//
// The parts are fields: who wants more than Start offers uses them directly, and who wants less builds less by hand.
package node
