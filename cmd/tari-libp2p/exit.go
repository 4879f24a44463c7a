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
	code        int
	kind        node.FailureKind // "" for none
	meaning     string           // Markdown, as the rest
	cause, next string           // as in a trouble
}

// exits are all exit codes, as docs/cli.md, docs/errors.md and the man pages have them.
func exits() []exit {
	return []exit{
		{
			code: exitOK, meaning: "done. For `send`: the peer's side of the connection could take every byte; Tari's messaging has no receipt",
		},
		{
			code: exitOther, kind: node.FailOther, meaning: "something else: a disk, a locked data folder, a fault of ours",
			cause: "what the text says", next: "`tari-libp2p doctor`",
		},
		{
			code: exitUsage, kind: node.FailUsage, meaning: "the command line makes no sense, or the environment or the configuration file, or what is in a file that they name",
			cause: "a slip of the pen, or a name that fits several peers", next: "the command with `--help`, `tari-libp2p config check`",
		},
		{
			code: exitUnreachable, kind: node.FailUnreachable, meaning: "nobody answers at the address",
			cause: "the node is off or has moved, or a firewall or router does not let us through", next: "`tari-libp2p ping PUBKEY::ADDRESS`: it names the stage",
		},
		{
			code: exitAuthentication, kind: node.FailAuthentication, meaning: "not the key that was dialed, or it cannot prove it",
			cause: "another node has the address now, or the key was mistyped; or somebody sits in between", next: "`tari-libp2p peers get PEER`, and ask its owner for the key",
		},
		{
			code: exitRefused, kind: node.FailRefused, meaning: "the peer closed on us (other network or dialect, a ban, a limit), does not have the protocol, or answered a call with an error; or our own ban list refuses it",
			cause: "most often another `--network`", next: "`tari-libp2p ping --network NAME PUBKEY::ADDRESS`, then `tari-libp2p peers banned`",
		},
		{
			code: exitTimeout, kind: node.FailTimeout, meaning: "the peer or the network took too long",
			cause: "a slow way, as through Tor, or a peer with too much to do", next: "the command again, with a longer `--timeout`",
		},
		{
			code: exitNotFound, kind: node.FailNotFound, meaning: "no known peer is named so, or there is no such file",
			cause: "the peer is in the book of another `--network` or `--data-dir`", next: "`tari-libp2p peers list`",
		},
		{
			code: exitForked, kind: failForked, meaning: "of `fork-check`: the peers are on more than one chain. 0 means that all that answered are on one, and that at least two did",
			cause: "a peer is stuck, or follows other rules", next: "`tari-libp2p tip PUBKEY::ADDRESS…`: who has most work",
		},
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
