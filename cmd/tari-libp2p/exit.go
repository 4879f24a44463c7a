package main

import "github.com/tari-libp2p/tari-libp2p/node"

// Exit codes; exits says what they mean.
const (
	exitOK             = 0
	exitOther          = 1
	exitUsage          = 2
	exitUnreachable    = 3
	exitAuthentication = 4
	exitRefused        = 5
	exitTimeout        = 6
	exitNotFound       = 7
	exitForked         = 8
)

// failForked is the kind of failure that only fork-check has.
const failForked node.FailureKind = "forked"

// exit is how the command ends.
type exit struct {
	code    int
	kind    node.FailureKind // "" for none
	meaning string           // Markdown
}

// exits are all exit codes, as docs/cli.md and the man pages have them.
func exits() []exit {
	return []exit{
		{exitOK, "", "done. For `send`: the peer's side of the connection could take every byte; Tari's messaging has no receipt"},
		{exitOther, node.FailOther, "something else: a disk, a locked data folder, a fault of ours"},
		{exitUsage, node.FailUsage, "the command line makes no sense, or the environment or the configuration file, or what is in a file that they name"},
		{exitUnreachable, node.FailUnreachable, "nobody answers at the address"},
		{exitAuthentication, node.FailAuthentication, "not the key that was dialed, or it cannot prove it"},
		{exitRefused, node.FailRefused, "the peer closed on us (other network or dialect, a ban, a limit), does not have the protocol, or answered a call with an error; or our own ban list refuses it"},
		{exitTimeout, node.FailTimeout, "the peer or the network took too long"},
		{exitNotFound, node.FailNotFound, "no known peer is named so, or there is no such file"},
		{exitForked, failForked, "of `fork-check`: the peers are on more than one chain. 0 means that all that answered are on one, and that at least two did"},
	}
}

// exitCode is the exit code of a failure.
func exitCode(kind node.FailureKind) int {
	for _, e := range exits() {
		if e.kind == kind && kind != "" {
			return e.code
		}
	}
	return exitOther
}
