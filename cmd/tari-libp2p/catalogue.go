package main

import (
	"errors"
	"io"
	"net"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/rpc"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// trouble is something that can go wrong. Its texts are Markdown.
type trouble struct {
	name    string // the word that a user meets, or the error's name in Go
	also    string // the word for it in counts, if that is another
	err     error  // the error, to know its text; nil: it has none of its own
	met     error  // as the command ends with it; nil: it does not
	meaning string
	cause   string // the likely one
	next    string // what to do about it
}

// code is the exit code of a command that ends so; nil: none does.
func (t trouble) code() *int {
	if t.met == nil {
		return nil
	}
	code := exitCode(failureOf(t.met).Kind)
	return &code
}

// chapter is a part of the catalogue.
type chapter struct {
	title, about string
	troubles     []trouble
}

// catalogue is everything that "explain" and docs/errors.md know.
func catalogue() []chapter {
	return []chapter{
		{"Kinds of failure", "`failure` in JSON; each has its exit code.", kindsOfFailure()},
		{"Stages of a dial", "`failed_at` of `ping`, and the word before the colon where a dial failed.", stages()},
		{"Why a message was not sent", "`reason` in the JSON of `send`; the second word in the counts of `top`.", reasons()},
		{"What a peer answers to a call", "`reason` in the JSON of `rpc call`, `tip`, `headers` and their like.", answers()},
		{"Why a call got no session", "In the text, behind `rpc: session refused`.", rejections()},
		{"Why an inbound connection was refused", "In the event `refusals`, in the log and in the metrics. No command ends with it.", inboundRefusals()},
		{"Errors in Go", "What the packages return, to look at with `errors.Is` and `errors.As`; and how the command ends with it, if it does.", goErrors()},
	}
}

func kindsOfFailure() (all []trouble) {
	for _, e := range exits() {
		if e.kind != "" {
			all = append(all, trouble{name: string(e.kind), met: &node.Failure{Kind: e.kind}, meaning: e.meaning, cause: e.cause, next: e.next})
		}
	}
	return all
}

// at is an error of a stage.
func at(stage string, err error) error { return &dialect.StageError{Stage: stage, Err: err} }

func stages() []trouble {
	return []trouble{
		{name: tari.StageConnect, met: &net.OpError{Op: "dial", Err: errors.New("refused")}, meaning: "TCP, or Tor, makes a connection", cause: "nobody listens there, or a firewall drops us", next: "another address: `tari-libp2p peers get PEER`"},
		{name: dialect.StageWire, met: at(dialect.StageWire, io.EOF), meaning: "the first byte says which network we want", cause: "the connection broke at once: a port that takes connections and is no node", next: "`tari-libp2p ping --network NAME PUBKEY::ADDRESS`"},
		{name: dialect.StageNoise, met: at(dialect.StageNoise, io.EOF), meaning: "both sides prove their keys; a peer that wants none of us closes here and does not say why", cause: "another network or dialect, a ban, or a full node; with a key named in the text: exit code 4", next: "`tari-libp2p ping --network NAME PUBKEY::ADDRESS`"},
		{name: dialect.StageAdmit, met: at(dialect.StageAdmit, tari.ErrRefused), meaning: "we look whether we want this peer at all", cause: "it is banned here", next: "`tari-libp2p peers banned`, then `tari-libp2p unban PEER`"},
		{name: dialect.StageIdentity, met: at(dialect.StageIdentity, errors.New("a claim that breaks a rule")), meaning: "both sides say who they are: addresses, features, user agent, signed", cause: "the peer's claim breaks a rule, or it has gone; if it closed: exit code 5", next: "`tari-libp2p conformance PUBKEY::ADDRESS` if the peer is yours"},
		{name: dialect.StageMuxer, met: at(dialect.StageMuxer, io.EOF), meaning: "substreams begin", cause: "the peer closed: too many connections, or one to us already", next: "the command again"},
		{name: node.StageRoundTrip, met: tariproto.ErrNotSupported, meaning: "of `ping`: a protocol is asked for, and answered", cause: "the peer took the connection and says nothing on it", next: "the command again, with a longer `--timeout`"},
	}
}

func reasons() []trouble {
	why := func(reason messagingproto.Reason, met error, cause, next string) trouble {
		return trouble{name: reason.String(), also: reason.Word(), met: &messagingproto.SendError{Reason: reason, Err: met}, meaning: "`messagingproto." + reasonNames[reason] + "`", cause: cause, next: next}
	}
	return []trouble{
		why(messagingproto.TooLarge, nil, "a message above 8 MiB", "send it in parts"),
		why(messagingproto.QueueFull, nil, "more is being sent than peers take", "wait, and send again"),
		why(messagingproto.DialFailed, &net.OpError{Op: "dial", Err: errors.New("refused")}, "the peer cannot be reached, or has no messaging; the exit code is that of the cause", "`tari-libp2p dial PEER`: it says at which address which stage failed"),
		why(messagingproto.Expired, nil, "it waited too long for its turn", "send it again"),
		why(messagingproto.SendTimeout, nil, "the peer does not read", "send it again later"),
		why(messagingproto.QueuedBehindTimeout, nil, "the peer did not read what came before it", "send it again later"),
		why(messagingproto.ConnectionLost, nil, "the network, or the peer has ended", "`tari-libp2p dial PEER`, then send it again"),
		why(messagingproto.MaxRetries, nil, "the peer does not want it", "`tari-libp2p ping PUBKEY::ADDRESS`: does it have messaging?"),
		why(messagingproto.Cancelled, nil, "Ctrl-C, or `--timeout`", "send it again; it may have gone out all the same"),
		why(messagingproto.Closed, nil, "our node is ending", "`tari-libp2p run`"),
	}
}

// reasonNames are the reasons as Go has them.
var reasonNames = map[messagingproto.Reason]string{
	messagingproto.TooLarge: "TooLarge", messagingproto.QueueFull: "QueueFull", messagingproto.DialFailed: "DialFailed", messagingproto.Expired: "Expired",
	messagingproto.SendTimeout: "SendTimeout", messagingproto.QueuedBehindTimeout: "QueuedBehindTimeout", messagingproto.ConnectionLost: "ConnectionLost",
	messagingproto.MaxRetries: "MaxRetries", messagingproto.Cancelled: "Cancelled", messagingproto.Closed: "Closed",
}

func answers() []trouble {
	code := func(c rpc.Code, meaning, cause, next string) trouble {
		return trouble{name: c.String(), met: &rpc.Status{Code: c}, meaning: meaning, cause: cause, next: next}
	}
	const again = "the command again, or another peer"
	return []trouble{
		code(rpc.BadRequest, "the request is wrong: malformed, too large, over its budget", "the payload is not what the method takes", "look at the service's definition"),
		code(rpc.UnsupportedMethod, "the service has no such method", "an older peer, or a wrong number", "look at the service's definition"),
		code(rpc.NotImplemented, "it has, in name only", "the peer's software", "another peer"),
		code(rpc.Timeout, "not done within the deadline", "the peer has too much to do", "a longer `--timeout`, or another peer"),
		code(rpc.MalformedResponse, "the answer does not parse", "a fault of the peer's software", "another peer"),
		code(rpc.General, "anything else", "the peer's affair; the text may say more", again),
		code(rpc.NotFound, "there is no such thing", "the peer does not have what was asked for, such as a block that it has pruned", "another peer"),
		code(rpc.ProtocolError, "the rules of RPC were broken", "a fault of one of the two", again),
		code(rpc.Forbidden, "not for this peer", "the service is for others", "another peer"),
		code(rpc.Conflict, "it contradicts what is there", "the peer's state has changed meanwhile", again),
	}
}

func rejections() []trouble {
	reject := func(r rpc.RejectReason, cause, next string) trouble {
		return trouble{name: r.String(), met: &rpc.RejectedError{Reason: r}, meaning: "the peer opened no session for calls", cause: cause, next: next}
	}
	return []trouble{
		reject(rpc.RejectUnknown, "the peer's affair", "another peer"),
		reject(rpc.RejectVersion, "a peer of another time", "another peer"),
		reject(rpc.RejectServerFull, "it serves as many as it may, or as many as it gives one peer", "wait, or another peer"),
		reject(rpc.RejectClientFull, "we have as many as we may", "wait"),
		reject(rpc.RejectNotSupported, "it does not have the service: wallets do not have that of base nodes", "another peer"),
	}
}

func inboundRefusals() []trouble {
	refusal := func(r tari.Refusal, meaning, cause string) trouble {
		return trouble{name: string(r), meaning: meaning, cause: cause, next: "if the load is honest: " + raise(r)}
	}
	const many, one = "many peers, or an attack from many addresses", "one user with many nodes, a router with many users behind it, or an attack"
	return []trouble{
		refusal(tari.RefusedInbound, "all places for connections that others open are taken", many),
		refusal(tari.RefusedInboundPerSource, "all places of one source are taken", one),
		refusal(tari.RefusedHandshakesPerSource, "one source has too many handshakes at a time", one),
		refusal(tari.RefusedHandshakes, "too many handshakes at a time", many),
		refusal(tari.RefusedSource, "the source is one that we refuse", "`--refuse` says so"),
		refusal(tari.RefusedDisplaced, "in handshake; another source, which had fewer, got the slot", one),
		refusal(tari.RefusedIdle, "established, and nobody used it; another source, which had none, got the place", one),
		refusal(tari.RefusedByGater, "the program's own gater does not want the source", "the program; `tari-libp2p run` has none"),
		refusal(tari.RefusedResources, "no memory or descriptor is left that the resource manager may give", "a small machine, or too many connections"),
		refusal(tari.RefusedDescriptors, "the system has no descriptor or memory for a connection", "`ulimit -n` is small"),
	}
}
