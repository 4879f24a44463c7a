package identityproto

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/tari-libp2p/tari-libp2p/internal/prost"

	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// Limits on what a peer of 2020 may send. 0.8.1 takes 8 MiB; no claim comes near a tenth of a percent of it.
const (
	maxSeedMessage   = 16 << 10
	maxSeedUserAgent = 100
	maxSeedAddresses = 64  // and as many protocols; the rest is not looked at
	maxSeedAddress   = 512 // bytes of text; a longer one is none
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
	if ours == nil || len(ours.Addresses) == 0 {
		return nil, fail(KindOurs, "our claim names no address: peers of 2020 refuse such a claim")
	}
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
	b := prost.AppendBytes(nil, 1, id[:])
	for _, a := range texts(c.Addresses) {
		b = prost.AppendBytes(b, 2, []byte(a))
	}
	b = prost.AppendVarint(b, 3, uint64(c.Features))
	for _, p := range c.Protocols {
		b = prost.AppendBytes(b, 4, []byte(p))
	}
	if c.UserAgent != "" {
		b = prost.AppendBytes(b, 5, []byte(c.UserAgent))
	}
	return b
}

// decodeSeed reads and validates such a message as the claim of key. Addresses
// that are none are dropped, unknown feature bits too, and the user agent is cut, as 0.8.1 does.
func decodeSeed(message []byte, key tarikey.PublicKey, rules Rules) (*Claim, error) {
	c := &Claim{Key: key}
	var nodeID []byte
	seen := 0 // addresses, also those that are none
	err := prost.Each(message, 0, func(f prost.Field) (err error) {
		var b []byte
		var n uint64
		var text string
		switch f.Num {
		case 1:
			nodeID, err = f.Data()
		case 2:
			text, err = f.Text()
			if seen++; err != nil || seen > maxSeedAddresses || len(text) > maxSeedAddress {
				break
			}
			if a, err := ma.NewMultiaddr(text); err == nil {
				c.Addresses = append(c.Addresses, a)
			}
		case 3:
			n, err = f.Number()
			c.Features = Features(n) & FeatureNode
		case 4:
			b, err = f.Data()
			if len(c.Protocols) < maxSeedAddresses && printable(string(b)) {
				c.Protocols = append(c.Protocols, protocol.ID(b))
			}
		case 5:
			c.UserAgent, err = f.Text()
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
		if err := checkSeedAddress(a, rules.AllowTestAddresses); err != nil {
			return nil, unpunished(err)
		}
	}
	if len(c.Addresses) == 0 {
		return nil, fail(KindNoAddress, "the claim holds no address that can be read")
	}
	return c, nil
}

func cut(s string, most int) string {
	if len(s) > most {
		return s[:most]
	}
	return s
}

// checkSeedAddress says whether 0.8.1 takes an address in a claim: the shape is
// the one of today without an onion address's checksum (and with onion of
// version 2); loopback, link-local, unspecified and memory only in tests. Private ranges pass.
func checkSeedAddress(a ma.Multiaddr, allowTest bool) error {
	parts, ok := components(a.Bytes())
	if !ok || len(parts) == 0 {
		return fail(KindShape, "an address of a kind that no claim may hold")
	}
	test := false
	switch first := parts[0]; first.code {
	case ma.P_ONION, ma.P_ONION3:
		if len(parts) != 1 {
			return fail(KindShape, "an onion address with something behind it")
		}
		return nil
	case ma.P_MEMORY:
		test = true
	case ma.P_IP4, ma.P_IP6:
		ip, _ := netip.AddrFromSlice(first.value)
		test = ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
	}
	if test && !allowTest {
		return fail(KindNoAddress, "the claim holds an address that no other machine can reach")
	}
	return checkShape(parts)
}
