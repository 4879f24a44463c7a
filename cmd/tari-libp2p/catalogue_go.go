package main

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/connectivity"
	"github.com/tari-libp2p/tari-libp2p/crawl"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/pipeline"
	"github.com/tari-libp2p/tari-libp2p/rpc"
	"github.com/tari-libp2p/tari-libp2p/seeds"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
	"github.com/tari-libp2p/tari-libp2p/torsocks"
	"github.com/tari-libp2p/tari-libp2p/wiremode"
	"github.com/tari-libp2p/tari-libp2p/yamux"
)

// errCause stands for the cause of an error that always has one.
var errCause = errors.New("a cause")

// goErrors are all exported errors of the packages. One that the command never ends with has no met.
func goErrors() []trouble {
	return slices.Concat(hostErrors(), stageErrors(), protocolErrors(), callErrors(), bookErrors(), seedErrors(), torErrors(), libraryErrors())
}

// ends is an error that the command ends with as it is.
func ends(name string, err error, meaning, cause, next string) trouble {
	return trouble{name: name, err: err, met: err, meaning: meaning, cause: cause, next: next}
}

// fails is an error that the command meets in a stage of a connection.
func fails(name, stage string, err error, meaning, cause, next string) trouble {
	return trouble{name: name, err: err, met: at(stage, err), meaning: meaning, cause: cause, next: next}
}

// untried is an error that the command meets as the cause of an address that was not dialed.
func untried(name string, err error, meaning, cause, next string) trouble {
	return trouble{name: name, err: err, met: dialed(&tari.NotTriedError{Err: err}), meaning: meaning, cause: cause, next: next}
}

// dialed is a dial that failed, at its only address with err.
func dialed(err error) error {
	return &swarm.DialError{DialErrors: []swarm.TransportError{{Address: ma.StringCast("/ip4/203.0.113.7/tcp/18189"), Cause: err}}}
}

// inside is an error that programs meet, and the command does not end with.
func inside(name string, err error, meaning, cause, next string) trouble {
	return trouble{name: name, err: err, meaning: meaning, cause: cause, next: next}
}

// wrong is an error that the command reports as one of its usage.
func wrong(name string, err error, meaning, cause, next string) trouble {
	return trouble{name: name, err: err, met: usageError{err}, meaning: meaning, cause: cause, next: next}
}

const (
	pingIt  = "`tari-libp2p ping PUBKEY::ADDRESS`"
	getIt   = "`tari-libp2p peers get PEER`"
	bansNow = "`tari-libp2p peers banned`"
	doctor  = "`tari-libp2p doctor`"
	torIt   = "`tari-libp2p tor status`"
	peers   = "another peer"
	report  = "nothing; tell whoever runs the peer"
	yours   = "mend the program"
)

func hostErrors() []trouble {
	return []trouble{
		{name: "tari.NotTriedError", met: dialed(&tari.NotTriedError{Err: errCause}), meaning: "nobody knocked at this address of a peer, for the reason that follows; it says nothing about the address", cause: "the reason that follows", next: getIt},
		{name: "tari.UnfinishedError", met: dialed(&tari.UnfinishedError{Err: context.DeadlineExceeded}), meaning: "the dial ended while this address was still being tried; the last stage is named", cause: "`--timeout`, or another address was faster", next: "a longer `--timeout`"},
		{name: "tari.NoTransportError", met: dialed(&tari.NoTransportError{}), meaning: "none of our transports dials this address", cause: "an onion address without `--socks` or `--tor`; or QUIC and WebSocket, which Tari does not have", next: "`--socks HOST:PORT` for an onion address"},
		{name: "tari.UpgradeError", met: dialed(&tari.UpgradeError{Err: at(dialect.StageNoise, errCause)}), meaning: "a connection failed before it was ready; the stage is named", cause: "the stage's, above", next: pingIt},
		untried("tari.ErrSelf", tari.ErrSelf, "the dial leads to ourselves", "an address of ours is in the peer's claim, or you named our own key", getIt),
		untried("tari.ErrInternal", tari.ErrInternal, "an internal address that nobody here configured", "the peer claims an address of its own network", "`--allow-test-addresses` in a test network; or name the address yourself"),
		untried("tari.ErrNoNode", tari.ErrNoNode, "no node can be at this address: port 0, 22 or 25, all hosts at once, a wrong onion name", "a poisoned or broken claim", getIt),
		untried("tari.ErrNeverDialed", tari.ErrNeverDialed, "an address that is never dialed", "`--never-dial` holds it", "leave the option out"),
		fails("tari.ErrRefused", dialect.StageAdmit, tari.ErrRefused, "our own gater does not want the peer", "it is banned here", bansNow+", then `tari-libp2p unban PEER`"),
		inside("tari.ErrLiveness", tari.ErrLiveness, "a liveness session ended in good order; it never becomes a connection", "somebody asked whether we live", "nothing"),
		inside("tari.ErrListening", tari.ErrListening, "the host listens already", "a second `Listen`", yours),
		inside("tari.ErrClosed", tari.ErrClosed, "the host is closed", "a call after `Close`", yours),
		inside("tari.ErrOpeningLost", tari.ErrOpeningLost, "the first bytes of a stream went out with a connection that another one replaced; the peer may have them", "both sides dialed at the same time", "send again if twice does no harm"),
		{name: "node.Failure", met: &node.Failure{Kind: node.FailOther}, meaning: "an error sorted by its kind, above", cause: "what it unwraps to", next: "see its kind"},
		{name: "node.PermissionError", met: &node.PermissionError{}, meaning: "a file with a secret can be read or changed by others, or is no plain file of ours", cause: "it was copied, or made by another user", next: "the command in its text, such as `chmod 600`"},
		{name: "node.CorruptIdentityError", met: &node.CorruptIdentityError{Err: errCause}, meaning: "the identity file holds no identity; it is left as it is", cause: "a disk that was full, or an edit", next: "`tari-libp2p identity import FILE` from a back-up"},
		ends("node.ErrNoTor", node.ErrNoTor, "Tor lacks something that a node needs", "Tor is not started, or does not let us in", torIt),
	}
}

func stageErrors() []trouble {
	const other = "another network or dialect, or something in between that changes bytes"
	ping := "`tari-libp2p ping --network NAME PUBKEY::ADDRESS`"
	return []trouble{
		{name: "dialect.StageError", met: at(dialect.StageNoise, errCause), meaning: "a connection failed at the stage that it names", cause: "the stage's, above; exit code 5 if the peer hung up", next: pingIt},
		{name: "dialect.KeyMismatchError", met: at(dialect.StageNoise, &dialect.KeyMismatchError{}), meaning: "the peer there has another key than the one dialed", cause: "another node has the address now, or the key was mistyped", next: "ask its owner for the key; " + getIt},
		{name: "wiremode.UnknownError", meaning: "a first byte that means nothing to this listener", cause: "a peer of another network, another program, or a port scan", next: "nothing; `--accept NAME` serves that network too"},
		ends("wiremode.ErrNoEcho", wiremode.ErrNoEcho, "a liveness check was closed without an answer", "the node does not answer those, or not us", pingIt),
		ends("wiremode.ErrWrongEcho", wiremode.ErrWrongEcho, "a liveness check got another line back", "no node of Tari's is there", pingIt),
		inside("wiremode.ErrRefused", wiremode.ErrRefused, "we refused a liveness session", "its source may not ask", "nothing"),
		inside("wiremode.ErrBadLine", wiremode.ErrBadLine, "a liveness line too long, or not text", "the peer is no node", "nothing"),
		{name: "noise.HandshakeError", met: at(dialect.StageNoise, &noise.HandshakeError{Err: errCause}), meaning: "a step of the Noise handshake failed; the cause follows", cause: other, next: ping},
		fails("noise.ErrNoAnswer", dialect.StageNoise, noise.ErrNoAnswer, "the peer closed instead of answering our first message, and does not say why", "another network or dialect, a ban, or a full node", ping),
		fails("noise.ErrMessageSize", dialect.StageNoise, noise.ErrMessageSize, "a handshake message of the wrong size", "another dialect", ping),
		fails("noise.ErrBadMessage", dialect.StageNoise, noise.ErrBadMessage, "a handshake message that fails authentication", other, ping),
		inside("noise.ErrShortFrame", noise.ErrShortFrame, "a frame shorter than its tag ended the connection", "a fault of the peer's", report),
		inside("noise.ErrBadTag", noise.ErrBadTag, "a frame that fails authentication ended the connection", "something in between changes bytes", "dial again, another way if it comes back"),
		{name: "identityproto.Error", met: at(dialect.StageIdentity, &identityproto.Error{Kind: identityproto.KindSignature, Err: errCause}), meaning: "the exchange of identities failed, by a broken rule that its text names, or by the connection", cause: "the peer's software; a clock that is a day wrong", next: "`tari-libp2p doctor` for our clock; " + pingIt},
	}
}

func protocolErrors() []trouble {
	return []trouble{
		ends("tariproto.ErrNotSupported", tariproto.ErrNotSupported, "the peer speaks none of the protocols offered", "a wallet, or an older node, that lacks the service", pingIt+" lists its protocols"),
		ends("tariproto.ErrTerminated", tariproto.ErrTerminated, "the peer gave the negotiation up", "it does not have the protocol, or not for us", pingIt),
		inside("tariproto.ErrIDTooLong", tariproto.ErrIDTooLong, "a protocol id of ours has more than 255 bytes; nothing was written", "a fault of the program", yours),
		{name: "tariproto.FlagError", met: at(dialect.StageIdentity, &tariproto.FlagError{}), meaning: "a negotiation frame with flags that nobody has defined", cause: "a fault of the peer's", next: report},
		{name: "tariproto.FrameSizeError", meaning: "a frame above the limit", cause: "a peer that keeps no rules, or a message of ours that is too large", next: report},
		inside("yamux.ErrClosed", yamux.ErrClosed, "the session was closed on this side", "the connection was ended here", "nothing"),
		inside("yamux.ErrGoAway", yamux.ErrGoAway, "the peer said goodbye", "it ends, or has too many connections", "dial again"),
		inside("yamux.ErrConnectionEnded", yamux.ErrConnectionEnded, "the connection ended without a goodbye; its streams are cut off", "the network, or the peer's end", "dial again"),
		inside("yamux.ErrWriteStall", yamux.ErrWriteStall, "the connection takes no bytes any more", "the network is gone, or the peer hangs", "dial again"),
		inside("yamux.ErrKeepAlive", yamux.ErrKeepAlive, "the peer is silent and answers no ping", "the network is gone, or the peer hangs", "dial again"),
		inside("yamux.ErrUnsent", yamux.ErrUnsent, "closed before everything was sent", "the peer does not read", "send again"),
		inside("yamux.ErrWriteClosed", yamux.ErrWriteClosed, "a write to a stream that was closed for writing", "a fault of the program", yours),
		inside("yamux.ErrReadClosed", yamux.ErrReadClosed, "a read from a stream that was closed for reading", "a fault of the program", yours),
		{name: "yamux.ViolationError", meaning: "the peer broke the protocol, and the session ended", cause: "a fault of the peer's", next: report},
		{name: "yamux.LimitError", meaning: "no further stream fits into the connection, or into memory", cause: "too many streams at a time", next: "wait until one is closed"},
		{name: "messagingproto.SendError", met: &messagingproto.SendError{Reason: messagingproto.SendTimeout}, meaning: "a message was not sent; the reason is one of those above", cause: "the reason's; so is the exit code", next: "see the reason"},
		{name: "messagingproto.ViolationError", meaning: "a peer broke a rule of messaging that no honest peer breaks, and is banned for it", cause: "a fault of the peer's, or malice", next: bansNow},
	}
}

func callErrors() []trouble {
	useless := &basenode.PeerError{Peer: peer.ID("peer"), Err: &rpc.Status{Code: rpc.NotFound}}
	return []trouble{
		{name: "rpc.Status", met: &rpc.Status{Code: rpc.General}, meaning: "the peer answered a call with an error, one of those above", cause: "the code's", next: "see the code"},
		{name: "rpc.RejectedError", met: &rpc.RejectedError{}, meaning: "the peer opened no session for calls, for a reason of those above", cause: "the reason's", next: peers + ", or the same later"},
		{name: "rpc.SessionError", met: &rpc.SessionError{Err: errCause}, meaning: "the session ended under the call, which may have been served or not", cause: "the network, or the peer has too many", next: "the command again"},
		{name: "basenode.PeerError", met: useless, meaning: "why this peer was of no use; the exit code is that of the cause", cause: "what follows", next: peers},
		{name: "basenode.NoPeerError", met: &basenode.NoPeerError{Failed: []*basenode.PeerError{useless}}, meaning: "none of the peers was of use; the exit code is that of the causes", cause: "what follows, peer by peer", next: "name more peers: `tari-libp2p crawl` finds some"},
		{name: "basenode.BadAnswerError", met: &basenode.BadAnswerError{}, meaning: "an answer that no sound peer gives", cause: "a fault of the peer's, or malice", next: peers},
		{name: "basenode.DeepReorgError", met: &basenode.DeepReorgError{}, meaning: "the peer is on another chain since before the oldest block that is remembered", cause: "another network, or a file that is very old", next: "`tari-libp2p fork-check PUBKEY::ADDRESS…`, or a new `--file`"},
		{name: "basenode.LessWorkError", met: &basenode.LessWorkError{}, meaning: "the peer does not have our last block, and its chain has no more work than ours", cause: "it is behind, or on a chain that lost", next: "`tari-libp2p tip PUBKEY::ADDRESS…`"},
		{name: "peersync.OffenceError", meaning: "an answer about peers that no honest peer gives; the node bans for it", cause: "a fault of the peer's, or malice", next: bansNow},
		wrong("crawl.JournalError", &crawl.JournalError{Err: errCause}, "the file is no journal, not of this crawl, or in use", "another `--network`, another file, or a second crawl", "another `--journal`"),
	}
}

func bookErrors() []trouble {
	return []trouble{
		{name: "peerbook.LockedError", met: &peerbook.LockedError{}, meaning: "another process has the data folder open", cause: "a node runs there and does not answer on its control socket, or another command is at work", next: "`tari-libp2p status`, or another `--data-dir`"},
		{name: "peerbook.DamagedError", met: &peerbook.DamagedError{Err: errCause}, meaning: "the files of the book are damaged, and there is no back-up to make new ones from", cause: "the disk", next: "move the folder `peers` away, and `tari-libp2p peers import FILE` from an export"},
		{name: "peerbook.SchemaError", met: &peerbook.SchemaError{}, meaning: "a newer version has laid the book out", cause: "the program was set back to an older version", next: "the newer version; docs/operating.md has the way back"},
		{name: "peerbook.FullError", met: &peerbook.FullError{}, meaning: "the disk has too little room for the book", cause: "the disk is full", next: "make room; what was not written is, with the next change"},
		{name: "peerbook.ReadOnlyError", met: &peerbook.ReadOnlyError{Err: errCause}, meaning: "the book's folder cannot be written to", cause: "it belongs to another user, or the disk is mounted read-only", next: doctor},
		{name: "peerbook.LineError", meaning: "what is wrong with a line of an import, which is left out", cause: "an edit, or half a file", next: "mend the line, and import again"},
		{name: "peerbook.ErrNoExport", err: peerbook.ErrNoExport, met: &node.Failure{Kind: node.FailUsage}, meaning: "the file is no export of peers that this program can read", cause: "another file; a table without `--csv`", next: "`tari-libp2p peers export FILE` writes one"},
		inside("peerbook.ErrFormat", peerbook.ErrFormat, "the format is neither json nor csv", "a request to the control socket by hand", "`format=json`"),
		inside("peerbook.ErrClosed", peerbook.ErrClosed, "a change to a book that is closed", "the node is ending", yours),
		inside("peerbook.ErrNoPeer", peerbook.ErrNoPeer, "no peer of the book is named so", "a slip, or another book", "`List` has them all"),
		inside("peerbook.ErrManyPeers", peerbook.ErrManyPeers, "several peers' keys or node ids begin so", "too short a beginning", "write more of it"),
		inside("peerbook.ErrBadPeer", peerbook.ErrBadPeer, "not the beginning of a public key or node id in hexadecimal", "a slip", "64 or 26 hexadecimal characters, or the beginning of them"),
		inside("peerbook.ErrUnbanned", peerbook.ErrUnbanned, "not banned: it was unbanned after the decision to ban it", "a person was faster", "nothing"),
		inside("peerbook.ErrAllowed", peerbook.ErrAllowed, "not banned: it is on the allow list", "a person put it there", "`tari-libp2p peers disallow PEER`"),
	}
}

func seedErrors() []trouble {
	const told = "`tari-libp2p seeds`: it says of each source how it went"
	return []trouble{
		{name: "seeds.ServerError", meaning: "a name server gave no answer; the reason follows", cause: "no network, or a server that is off", next: "another `--dns-server`"},
		{name: "seeds.RecordError", meaning: "a record or line that is no peer", cause: "whoever wrote it", next: told},
		{name: "seeds.BogusError", meaning: "DNSSEC does not prove the answer", cause: "a zone without signatures, a clock that is wrong, or a forger", next: "`tari-libp2p doctor` for the clock; another `--dns-server`"},
		{name: "seeds.CodeError", meaning: "the server answers that it cannot, and why", cause: "the zone's servers are off, or it serves others only", next: "another `--dns-server`"},
		inside("seeds.ErrNoName", seeds.ErrNoName, "there is no such name", "a slip in `--dns-seed`, or a network that is gone", told),
		inside("seeds.ErrMismatch", seeds.ErrMismatch, "the answer is to another question", "a forger, or a broken server", "another `--dns-server`, over TLS"),
		wrong("seeds.ErrSystem", seeds.ErrSystem, "the system's resolver shows no signatures and uses no proxy", "`--dnssec` or `--socks` without `--dns-server`", "`--dns-server IP:PORT/NAME`"),
		inside("seeds.ErrInternal", seeds.ErrInternal, "a seed with no address that is reachable from everywhere", "whoever wrote the record", "`--allow-test-addresses` in a test network"),
	}
}

func torErrors() []trouble {
	return []trouble{
		{name: "torctl.OfflineError", met: noTor(), meaning: "nothing answers at Tor's control port", cause: "Tor is not started, or has no ControlPort", next: torIt},
		{name: "torctl.AuthError", met: noTor(), meaning: "Tor does not let us in; the text says what to do", cause: "we may not read its cookie, or the password is another", next: torIt},
		{name: "torsocks.StepError", met: socks(io.EOF), meaning: "a step of a dial through the proxy failed: `proxy`, `greeting`, `authentication` or `request`; the cause follows", cause: "what follows", next: torIt},
		{name: "torsocks.ErrNoMethod", err: torsocks.ErrNoMethod, met: socks(torsocks.ErrNoMethod), meaning: "the proxy takes none of our ways to authenticate", cause: "no proxy of Tor's", next: "another `--socks`"},
		{name: "torsocks.ErrAuth", err: torsocks.ErrAuth, met: socks(torsocks.ErrAuth), meaning: "the proxy refused user name and password", cause: "no proxy of Tor's: Tor takes any", next: "another `--socks`"},
		{name: "torsocks.ErrProtocol", err: torsocks.ErrProtocol, met: socks(torsocks.ErrProtocol), meaning: "what answered speaks no SOCKS5", cause: "`--socks` is not the port of a proxy", next: torIt},
		inside("torsocks.ErrTarget", torsocks.ErrTarget, "a host name or port that cannot be asked for", "an address that is broken", getIt),
		{name: "torsocks.ReplyError", met: socks(&torsocks.ReplyError{Code: 4}), meaning: "the proxy could not connect, and says why", cause: "the onion service is off, or the address is wrong", next: "the command again: Tor takes another way"},
	}
}

// socks is a dial through the proxy that failed.
func socks(err error) error { return dialed(&torsocks.StepError{Step: "request", Err: err}) }

// noTor is how the command ends with a Tor that it cannot use.
func noTor() error { return node.ErrNoTor }

func libraryErrors() []trouble {
	const key = "a slip, or bytes that are something else"
	return []trouble{
		wrong("tarikey.KeyError", &tarikey.KeyError{Reason: tarikey.ErrLength}, "bytes or text are no key, for one of the reasons that follow", key, "the command with `--help`"),
		wrong("tarikey.ErrLength", tarikey.ErrLength, "a key has 32 bytes, 64 hexadecimal characters", key, "copy all of it"),
		wrong("tarikey.ErrNotHex", tarikey.ErrNotHex, "a character that is not hexadecimal", key, "copy it again"),
		wrong("tarikey.ErrNotCanonical", tarikey.ErrNotCanonical, "not the one encoding that this key has", key, "copy it again"),
		wrong("tarikey.ErrIdentityPoint", tarikey.ErrIdentityPoint, "the identity point, which is nobody's key", key, "copy it again"),
		wrong("tarikey.ErrZeroScalar", tarikey.ErrZeroScalar, "zero, which is nobody's secret key", key, "`tari-libp2p identity new` makes one"),
		inside("tarikey.ErrNotTariKey", tarikey.ErrNotTariKey, "a peer id of libp2p that holds no key of Tari's", "a peer of plain libp2p", "look at the program's list of peers"),
		inside("tarikey.ErrBadSignature", tarikey.ErrBadSignature, "a signature does not verify", "bytes were changed, or another key signed", report),
		inside("connectivity.ErrClosed", connectivity.ErrClosed, "the node ended while it was waited for", "`Close`", "nothing"),
		inside("pipeline.ErrClosed", pipeline.ErrClosed, "the pipeline was closed before the message had its turn", "the program ends", "nothing"),
		inside("pipeline.ErrQueueFull", pipeline.ErrQueueFull, "as many messages wait already as may", "more is sent than peers take", "wait, and send again"),
		inside("pipeline.ErrTimeLimit", pipeline.ErrTimeLimit, "the message was not through the pipeline in time", "a slow middleware", yours),
		inside("pipeline.ErrRateLimit", pipeline.ErrRateLimit, "over the rate limit", "a peer that sends too much", "a higher limit if it is honest"),
		{name: "pipeline.FloodError", meaning: "a message over a rate limit that reports, so that its peer is banned", cause: "a peer that sends too much", next: bansNow},
		{name: "pipeline.PanicError", meaning: "a handler panicked; it has the stack", cause: "a fault of the program", next: yours},
		inside("pipeline.ErrDuplicate", pipeline.ErrDuplicate, "the message was there before", "peers pass on what they get", "nothing"),
		inside("pipeline.ErrEnvelope", pipeline.ErrEnvelope, "the bytes are no envelope", "a peer of another program", "nothing"),
	}
}
