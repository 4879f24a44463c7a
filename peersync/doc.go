// Package peersync asks peers for the peers that they know, and answers when
// asked: the method get_peers of Tari's service t/dht/1, over package rpc.
//
// What a peer says of others is worth what they signed. Ask gives only claims
// whose signature holds over all that they say, and counts the others; a Server's
// answer has only claims that another peer would take, whole.
//
// The service is that of tari_comms_dht 6. That of 2020 has the same name and
// other messages, without signatures; a peer of that time is answered
// rpc.BadRequest.
package peersync
