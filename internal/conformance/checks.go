package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/rpc"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
	"github.com/tari-libp2p/tari-libp2p/yamux"
)

// checks are all there are. What each expects is what docs/conformance.md says of tari_comms.
var checks = []check{
	{area: "noise", name: "proves the key that was dialed", first: true, run: provesItsKey},
	{area: "wire byte", name: "closes on the byte of no network, without an answer", run: otherByte},
	{area: "wire byte", name: "closes on silence within 6 s", run: silence},
	{area: "noise", name: "closes on a message that is none, without an answer", hostile: true, run: noNoise},
	{area: "noise", name: "closes on half a message, within the 15 s of a handshake", hostile: true, run: halfNoise},
	{area: "noise", name: "closes on a frame that was changed", hostile: true, run: changedFrame},
	{area: "identity", name: "says a claim within the limits, with a valid signature", run: claims},
	{area: "identity", name: "gives up on silence, within the 15 s of a handshake", hostile: true, run: silentIdentity},
	{area: "identity", name: "refuses the signature of another key", hostile: true, run: falseSignature},
	{area: "negotiation", name: "says of a protocol that nobody has that it is not supported", run: unknownProtocol},
	{area: "negotiation", name: "takes the second of two protocols if it knows only that", run: secondProtocol},
	{area: "negotiation", name: "gives up after five protocols", hostile: true, run: sixProtocols},
	{area: "negotiation", name: "ends the connection on an undefined flag", hostile: true, run: undefinedFlag},
	{area: "messaging", name: "takes a stream of messages", run: takesMessages},
	{area: "messaging", name: "ends the connection on a frame of more than 8 MiB", hostile: true, run: hugeMessage},
	{area: "rpc", name: "opens a session", run: opensSession},
	{area: "rpc", name: "answers a ping", run: answersPing},
	{area: "rpc", name: "says that a method is not supported, and goes on", run: unknownMethod},
	{area: "rpc", name: "ends the session on a handshake of more than 1 KiB", hostile: true, run: hugeHello},
	{area: "rpc", name: "ends the session on a frame above the limit", hostile: true, run: hugeRequest},
	{area: "limits", name: "has at most 128 streams", hostile: true, run: manyStreams},
	{area: "limits", name: "has at most 4 handshakes of one address", hostile: true, run: manyHandshakes},
	{area: "limits", name: "lets an honest peer in after all that", hostile: true, run: stillThere},
}

// ---- wire byte ----------------------------------------------------------------

// foreignByte begins connections of no network, nor those of plain libp2p.
const foreignByte = 0xee

func otherByte(ctx context.Context, p *probe) (string, error) {
	c, err := p.dial(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return closes(c, []byte{foreignByte}, 10*time.Second)
}

func silence(ctx context.Context, p *probe) (string, error) {
	c, err := p.dial(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return closes(c, nil, 10*time.Second) // of which four are for the way and for slow machines
}

// closes says something and expects the end of the connection within a limit, and not a byte before it.
func closes(c net.Conn, words []byte, limit time.Duration) (string, error) {
	began := time.Now()
	_ = c.SetDeadline(began.Add(limit))
	if len(words) > 0 {
		if _, err := c.Write(words); err != nil {
			return "", err
		}
	}
	n, err := c.Read(make([]byte, 1))
	switch took := time.Since(began).Round(time.Millisecond); {
	case n > 0:
		return "", errors.New("it answers")
	case timedOut(err):
		return "", fmt.Errorf("it is still open after %s", took)
	default:
		return fmt.Sprintf("after %s", took), nil
	}
}

func timedOut(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// ---- noise --------------------------------------------------------------------

func provesItsKey(ctx context.Context, p *probe) (string, error) {
	s, err := p.stranger(ctx)
	if err != nil {
		return "", err
	}
	p.honest = s
	took := time.Duration(0)
	for _, stage := range s.session.Stages {
		took += stage.Took
	}
	return fmt.Sprintf("%s dialect, %s", s.session.Dialect, took.Round(10*time.Microsecond)), nil
}

func noNoise(ctx context.Context, p *probe) (string, error) {
	c, err := p.dial(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return closes(c, append([]byte{p.Network.WireByte, 0, 5}, "hello"...), 20*time.Second)
}

func halfNoise(ctx context.Context, p *probe) (string, error) {
	c, err := p.dial(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return closes(c, []byte{p.Network.WireByte, 0}, 17*time.Second)
}

// changedFrame writes bytes under the cipher of a connection that is up.
func changedFrame(ctx context.Context, p *probe) (string, error) {
	c, err := p.dial(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	session, err := p.upgrade(ctx, c, nil)
	if err != nil {
		return "", err
	}
	defer session.Close()
	if _, err := c.Write(append([]byte{0, 32}, make([]byte, 32)...)); err != nil {
		return "", err
	}
	return "", ended(ctx, session.IsClosed)
}

// upgrade goes through a handshake on a connection of our own. claim, if there is one, makes our claim out of a good one.
func (p *probe) upgrade(ctx context.Context, c net.Conn, claim func(*identityproto.Claim, tarikey.SecretKey) error) (*dialect.Session, error) {
	key, err := tarikey.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	return dialect.Of(p.Network).Upgrade(ctx, c, network.DirOutbound, dialect.Local{
		Key: key, Expect: p.Peer.Key, Rules: identityproto.Rules{AllowTestAddresses: true},
		Claim: func() (*identityproto.Claim, error) {
			ours := &identityproto.Claim{Key: key.Public(), Features: identityproto.FeatureClient, UserAgent: userAgent}
			if claim != nil {
				return ours, claim(ours, key)
			}
			return ours, ours.Sign(key, time.Now())
		},
	})
}

const userAgent = "tari-libp2p/conformance"

// ---- identity -----------------------------------------------------------------

func claims(_ context.Context, p *probe) (string, error) {
	c := p.honest.session.Claim // which was checked when it came, or there would be no connection
	return fmt.Sprintf("%q, %s, %d protocols, %d addresses", c.UserAgent, c.Features, len(c.Protocols), len(c.Addresses)), nil
}

var errPeerEnded = errors.New("the peer has ended the connection")

// silentIdentity proves a key and says nothing more.
func silentIdentity(ctx context.Context, p *probe) (string, error) {
	c, err := p.dial(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	var began time.Time
	var took time.Duration
	_, err = p.upgrade(ctx, c, func(*identityproto.Claim, tarikey.SecretKey) error {
		began = time.Now()
		_ = c.SetReadDeadline(began.Add(19 * time.Second)) // and what closing may take
		_, err := io.Copy(io.Discard, c)                   // its own claim, and the end
		if took = time.Since(began); timedOut(err) {
			return errors.New("the connection goes on")
		}
		return errPeerEnded
	})
	if !errors.Is(err, errPeerEnded) {
		return "", err
	}
	return fmt.Sprintf("after %s", took.Round(time.Millisecond)), nil
}

func falseSignature(ctx context.Context, p *probe) (string, error) {
	if p.honest.session.Era == tariproto.EraSeed {
		return "", skip("nothing is signed in this dialect")
	}
	c, err := p.dial(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	session, err := p.upgrade(ctx, c, func(ours *identityproto.Claim, _ tarikey.SecretKey) error {
		other, err := tarikey.GenerateKey(nil)
		if err != nil {
			return err
		}
		return ours.Sign(other, time.Now())
	})
	var stage *dialect.StageError
	switch {
	case errors.As(err, &stage) && stage.Stage != dialect.StageNoise && !timedOut(err):
		return "", nil // before it has said its own
	case err != nil:
		return "", err
	}
	defer session.Close()
	return "", ended(ctx, session.IsClosed)
}

// ---- negotiation --------------------------------------------------------------

const nobodyHas = protocol.ID("tari-libp2p/nobody-has-this")

// ask opens a stream and lets f speak on it, within 10 s.
func (s *stranger) ask(ctx context.Context, p *probe, f func(network.Stream) (string, error)) (string, error) {
	stream, err := s.Host.NewStream(ctx, p.Peer.Key.PeerID())
	if err != nil {
		return "", err
	}
	defer func() { _ = stream.Reset() }()
	_ = stream.SetDeadline(time.Now().Add(10 * time.Second))
	return f(stream)
}

func unknownProtocol(ctx context.Context, p *probe) (string, error) {
	began := time.Now()
	return p.honest.ask(ctx, p, func(s network.Stream) (string, error) {
		switch _, err := tariproto.Select(s, nobodyHas); {
		case errors.Is(err, tariproto.ErrNotSupported):
			return fmt.Sprintf("after %s", time.Since(began).Round(10*time.Microsecond)), nil
		case err == nil:
			return "", errors.New("it takes it")
		default:
			return "", err
		}
	})
}

func secondProtocol(ctx context.Context, p *probe) (string, error) {
	known, err := p.messaging()
	if err != nil {
		return "", err
	}
	return p.honest.ask(ctx, p, func(s network.Stream) (string, error) {
		id, err := tariproto.Select(s, nobodyHas, known)
		if err == nil && id != known {
			err = errors.New("it takes the first")
		}
		return string(id), err
	})
}

// sixProtocols offers so many that nobody has that the answer to the last should not come.
func sixProtocols(ctx context.Context, p *probe) (string, error) {
	s, err := p.stranger(ctx)
	if err != nil {
		return "", err
	}
	defer s.close()
	return s.ask(ctx, p, func(stream network.Stream) (string, error) {
		many := slices.Repeat([]protocol.ID{nobodyHas}, 7)
		switch _, err := tariproto.Select(stream, many...); {
		case errors.Is(err, tariproto.ErrNotSupported):
			return "", errors.New("it answers seven")
		case err == nil, timedOut(err):
			return "", errors.New("it does not give up")
		}
		return "", nil
	})
}

func undefinedFlag(ctx context.Context, p *probe) (string, error) {
	return "", p.offend(ctx, []byte("\x09\x80t/msg/0.1"))
}

// offend says something on a new stream of a new identity, for which the peer should end the connection.
func (p *probe) offend(ctx context.Context, words []byte) error {
	s, err := p.stranger(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	_, err = s.ask(ctx, p, func(stream network.Stream) (string, error) {
		if _, err := stream.Write(words); err != nil {
			return "", err
		}
		return "", ended(ctx, s.session.IsClosed)
	})
	return err
}

// ---- messaging ----------------------------------------------------------------

// messaging is the id by which the peer takes messages.
func (p *probe) messaging() (protocol.ID, error) {
	for _, id := range []protocol.ID{tariproto.Messaging, tariproto.MessagingSeed} {
		if slices.Contains(p.honest.session.Claim.Protocols, id) {
			return id, nil
		}
	}
	return "", skip("its claim names no messaging")
}

func takesMessages(ctx context.Context, p *probe) (string, error) {
	id, err := p.messaging()
	if err != nil {
		return "", err
	}
	return p.honest.ask(ctx, p, func(s network.Stream) (string, error) {
		_, err := tariproto.Select(s, id)
		return string(id), err
	})
}

func hugeMessage(ctx context.Context, p *probe) (string, error) {
	id, err := p.messaging()
	if err != nil {
		return "", err
	}
	words, err := tariproto.AppendOptimistic(nil, id)
	if err != nil {
		return "", err
	}
	return "", p.offend(ctx, tariproto.AppendFrameHeader(words, tariproto.MaxFrame+1))
}

// ---- rpc ----------------------------------------------------------------------

// tariServices are those of RPC that a node of Tari may have.
var tariServices = []protocol.ID{"t/dht/1", "t/blksync/1", "t/bnwallet/1", "t/mempool/1"}

// service is one that the peer has, as far as one can know.
func (p *probe) service() (protocol.ID, error) {
	if p.Service != "" {
		return p.Service, nil
	}
	for _, id := range tariServices {
		if slices.Contains(p.honest.session.Claim.Protocols, id) {
			return id, nil
		}
	}
	return "", skip("its claim names no service; --service names one")
}

// session opens a session for one check, since the peer may have few.
func (p *probe) session(ctx context.Context, f func(protocol.ID, *rpc.Client) (string, error)) (string, error) {
	id, err := p.service()
	if err != nil {
		return "", err
	}
	c, err := rpc.Connect(ctx, p.honest.Host, p.Peer.Key.PeerID(), id, rpc.ClientConfig{Deadline: 10 * time.Second})
	if err != nil {
		return "", err
	}
	defer c.Close()
	return f(id, c)
}

func opensSession(ctx context.Context, p *probe) (string, error) {
	return p.session(ctx, func(id protocol.ID, c *rpc.Client) (string, error) {
		return fmt.Sprintf("%s, after %s", id, c.Latency().Round(10*time.Microsecond)), nil
	})
}

func answersPing(ctx context.Context, p *probe) (string, error) {
	if p.honest.session.Era == tariproto.EraSeed {
		return "", skip("there is none in this dialect")
	}
	return p.session(ctx, func(_ protocol.ID, c *rpc.Client) (string, error) {
		took, err := c.Ping(ctx)
		return fmt.Sprintf("after %s", took.Round(10*time.Microsecond)), err
	})
}

// noMethod is none of any service.
const noMethod = 4_000_000

func unknownMethod(ctx context.Context, p *probe) (string, error) {
	return p.session(ctx, func(_ protocol.ID, c *rpc.Client) (string, error) {
		for range 2 {
			var got error
			for _, err := range (rpc.Raw{Number: noMethod}).Call(ctx, c, nil) {
				got = err
			}
			if rpc.CodeOf(got) != rpc.UnsupportedMethod {
				return "", fmt.Errorf("it says: %w", got)
			}
		}
		return "", nil
	})
}

func hugeHello(ctx context.Context, p *probe) (string, error) {
	return p.endsStream(ctx, func(io.ReadWriter) error { return nil }, 1025)
}

// hugeRequest is larger than the frames of all generations.
func hugeRequest(ctx context.Context, p *probe) (string, error) {
	return p.endsStream(ctx, func(s io.ReadWriter) error {
		if err := tariproto.WriteFrame(s, []byte{0x0a, 1, 0}); err != nil { // the versions that we speak: 0
			return err
		}
		_, err := tariproto.ReadFrame(s, nil, 1024)
		return err
	}, 16<<20)
}

// endsStream announces a frame of so many bytes on a stream of the service, and expects the end of the stream.
func (p *probe) endsStream(ctx context.Context, before func(io.ReadWriter) error, size int) (string, error) {
	id, err := p.service()
	if err != nil {
		return "", err
	}
	s, err := p.stranger(ctx)
	if err != nil {
		return "", err
	}
	defer s.close()
	return s.ask(ctx, p, func(stream network.Stream) (string, error) {
		if _, err := tariproto.Select(stream, id); err != nil {
			return "", err
		}
		if err := before(stream); err != nil {
			return "", err
		}
		if _, err := stream.Write(tariproto.AppendFrameHeader(nil, size)); err != nil {
			return "", err
		}
		_ = stream.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := stream.Read(make([]byte, 1))
		if n > 0 || timedOut(err) {
			return "", errors.New("the stream goes on")
		}
		return "", nil
	})
}

// ---- limits -------------------------------------------------------------------

// modernNoise is how today's dialect begins. The facts stand here once more, so that a stranger may leave the manners of package dialect.
var modernNoise = noise.Params{Pattern: noise.XX, Prologue: []byte("com.tari.comms.noise.prologue"), HashDH: true}

// manyStreams opens more streams than our own muxer would.
func manyStreams(ctx context.Context, p *probe) (string, error) {
	if p.honest.session.Era != tariproto.EraModern {
		return "", skip("a limit of today's dialect")
	}
	const limit = 128
	c, err := p.dial(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	key, err := tarikey.GenerateKey(nil)
	if err != nil {
		return "", err
	}
	secured, err := noise.Client(ctx, c, noise.Config{Params: modernNoise, Static: key, Preamble: []byte{p.Network.WireByte}})
	if err != nil {
		return "", err
	}
	ours := &identityproto.Claim{Key: key.Public(), Features: identityproto.FeatureClient, UserAgent: userAgent}
	if err := ours.Sign(key, time.Now()); err != nil {
		return "", err
	}
	if _, err := identityproto.Exchange(ctx, secured, ours, p.Peer.Key, identityproto.Rules{AllowTestAddresses: true}); err != nil {
		return "", err
	}
	session, err := yamux.Client(secured, yamux.Config{MaxStreams: 3 * limit, MaxOpen: 3 * limit}, nil)
	if err != nil {
		return "", err
	}
	defer session.Close()
	open, err := openMany(ctx, session, 2*limit)
	if err != nil {
		return "the connection ends", nil
	}
	if open > limit {
		return "", fmt.Errorf("%d streams are open", open)
	}
	return fmt.Sprintf("%d stay open", open), nil
}

// openMany opens streams that say nothing, and counts those that are not reset. The error is the end of the session.
func openMany(ctx context.Context, session *yamux.Session, n int) (int, error) {
	var all []network.MuxedStream
	for range n {
		s, err := session.OpenStream(ctx)
		if err != nil {
			return 0, err
		}
		if _, err := s.Write([]byte{9}); err == nil { // the first byte of a negotiation
			all = append(all, s)
		}
	}
	var waiting atomic.Int64
	var reads sync.WaitGroup
	for _, s := range all {
		reads.Go(func() {
			_ = s.SetReadDeadline(time.Now().Add(2 * time.Second))
			if _, err := s.Read(make([]byte, 1)); timedOut(err) {
				waiting.Add(1)
			}
		})
	}
	reads.Wait()
	if session.IsClosed() {
		return 0, errPeerEnded
	}
	return int(waiting.Load()), nil
}

// manyHandshakes begins six and counts those that are closed at once.
func manyHandshakes(ctx context.Context, p *probe) (string, error) {
	if p.SOCKS != "" {
		return "", skip("nobody is counted by address behind a proxy")
	}
	const begun, room = 6, 4
	var all []net.Conn
	for range begun {
		c, err := p.dial(ctx)
		if err != nil {
			return "", err
		}
		defer c.Close()
		if from, ok := c.RemoteAddr().(*net.TCPAddr); ok && from.IP.IsLoopback() {
			return "", skip("loopback is not counted")
		}
		all = append(all, c)
	}
	closed := 0
	for _, c := range all {
		_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); !timedOut(err) {
			closed++
		}
	}
	if closed < begun-room {
		return "", fmt.Errorf("%d of %d are open", begun-closed, begun)
	}
	return fmt.Sprintf("%d of %d closed at once", closed, begun), nil
}

func stillThere(ctx context.Context, p *probe) (string, error) {
	s, err := p.stranger(ctx)
	if err != nil {
		return "", err
	}
	s.close()
	return "with a new identity", nil
}
