package identityproto

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// Limits on what a peer of 2020 may send. 0.8.1 takes 8 MiB; no claim comes near a tenth of a percent of it.
const (
	maxSeedMessage   = 16 << 10
	maxSeedUserAgent = 100
	maxSeedAddresses = 64
)

// Substream is what ExchangeSubstream needs of a stream.
type Substream interface {
	io.ReadWriter
	SetDeadline(time.Time) error
	CloseWrite() error
}

// ExchangeSubstream sends our claim and reads the peer's on the first
// substream, after the negotiation of the identity protocol, as tari_comms 0.8.1 does. In wire order:
//
//	-> length (4, big-endian) | message      both sides
//	-> end of our half
//	<- length (4, big-endian) | message
//
// Nothing is signed: what the claim says beside the key is the word of the peer.
// Errors are *Error and cost no ban, as in 0.8.1.
func ExchangeSubstream(ctx context.Context, s Substream, ours *Claim, remote tarikey.PublicKey, rules Rules) (*Claim, error) {
	stop := within(ctx, s, ExchangeTimeout)
	err := tariproto.WriteFrame(s, encodeSeed(ours))
	if err == nil {
		err = s.CloseWrite()
	}
	var message []byte
	if err == nil {
		message, err = tariproto.ReadFrame(s, nil, maxSeedMessage)
	}
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		stop()
		return nil, unpunished(ioError(ctx, err, rules))
	}
	_ = s.SetDeadline(time.Time{})
	return decodeSeed(message, remote, rules)
}

// unpunished takes the ban off an error.
func unpunished(err error) error {
	if e, ok := err.(*Error); ok {
		e.ban = 0
	}
	return err
}

// encodeSeed writes the message of the seed dialect.
//
//	1 bytes           node_id
//	2 repeated string addresses            as text
//	3 uint64          features
//	4 repeated bytes  supported_protocols  the identity protocol first
//	5 string          user_agent
func encodeSeed(c *Claim) []byte {
	id := c.Key.NodeID()
	b := appendBytes(nil, 1, id[:])
	for _, a := range texts(c.Addresses) {
		b = appendBytes(b, 2, []byte(a))
	}
	b = appendVarint(b, 3, uint64(c.Features))
	for _, p := range c.Protocols {
		b = appendBytes(b, 4, []byte(p))
	}
	if c.UserAgent != "" {
		b = appendBytes(b, 5, []byte(c.UserAgent))
	}
	return b
}

// decodeSeed reads and validates such a message as the claim of key. Addresses
// that are none are dropped, unknown feature bits too, and the user agent is cut, as 0.8.1 does.
func decodeSeed(message []byte, key tarikey.PublicKey, rules Rules) (*Claim, error) {
	c := &Claim{Key: key}
	var nodeID []byte
	err := eachField(message, func(f field) (err error) {
		var b []byte
		var n uint64
		var text string
		switch f.num {
		case 1:
			nodeID, err = f.data()
		case 2:
			text, err = f.text()
			if a, aerr := ma.NewMultiaddr(text); aerr == nil && len(c.Addresses) < maxSeedAddresses {
				c.Addresses = append(c.Addresses, a)
			}
		case 3:
			n, err = f.number()
			c.Features = Features(n) & FeatureNode
		case 4:
			b, err = f.data()
			if len(c.Protocols) < maxSeedAddresses && printable(string(b)) {
				c.Protocols = append(c.Protocols, protocol.ID(b))
			}
		case 5:
			c.UserAgent, err = f.text()
		}
		return err
	})
	if err != nil {
		return nil, &Error{Kind: KindDecode, Detail: fmt.Sprintf("the claim is no protobuf: %v", err), Err: err}
	}
	if id := key.NodeID(); !bytes.Equal(nodeID, id[:]) {
		return nil, fail(KindNodeID, "the node id in the claim is not the key's")
	}
	c.UserAgent = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, cut(c.UserAgent, maxSeedUserAgent))
	for _, a := range c.Addresses {
		if !rules.AllowTestAddresses && !seedAddress(a) {
			return nil, fail(KindNoAddress, "the claim holds %s, which no other machine can reach", quote(a.String()))
		}
	}
	return c, nil
}

func cut(s string, most int) string {
	if len(s) > most {
		return s[:most]
	}
	return s
}

// seedAddress says whether 0.8.1 takes an address in a claim: no loopback,
// link-local, unspecified or memory address, and no port 0. Private ranges pass.
func seedAddress(a ma.Multiaddr) bool {
	if len(a) == 0 {
		return false
	}
	switch a[0].Protocol().Code {
	case ma.P_MEMORY:
		return false
	case ma.P_IP4, ma.P_IP6:
		ip, ok := ipOf(&a[0])
		if !ok || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() {
			return false
		}
	}
	for i := range a {
		if a[i].Protocol().Code == ma.P_TCP && portOf(&a[i]) == 0 {
			return false
		}
	}
	return true
}
