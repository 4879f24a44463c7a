// Package memnet is a network inside one process: [Pipe] for two ends, [NewTransport] for hosts that listen on /memory/N.
//
// Everything works on the fake clock of testing/synctest; listeners and dialers of one bubble must stay in that bubble.
package memnet
