package tari

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/wiremode"
)

// Config is what New needs. The zero value is a node of Mainnet with a fresh key that dials and does not listen.
type Config struct {
	// Key is who we are; zero generates one that lives as long as the Host.
	Key tarikey.SecretKey

	// Network is where we dial, and a network that we accept. Zero is dialect.Mainnet.
	Network dialect.Network

	// Accept lists further networks whose peers may come in. No two may share a wire byte.
	Accept []dialect.Network

	// Listen lists addresses to listen on: /ip4|ip6/…/tcp/N, or /memory/N inside this process. Port 0 picks a free one.
	Listen []ma.Multiaddr

	// ListenOnion is where the local Tor delivers what comes to our onion service, a loopback address; port 0 picks a free one, which
	// Host.OnionListener then tells. Whoever comes there has the same source address, so that none is counted by source, and it has
	// limits of its own. nil: no such listener.
	ListenOnion ma.Multiaddr

	// Public lists the addresses under which others reach us, at most five: our claim carries them. Empty means: those we listen
	// on, as far as they are globally routable.
	Public []ma.Multiaddr

	// UserAgent is printable ASCII of at most 50 bytes; empty is DefaultUserAgent.
	UserAgent string

	// AllowTestAddresses takes loopback, private and memory addresses for usable, in our claim and in theirs. Other nodes ban for
	// such addresses on public networks: only for tests and for networks of one's own.
	AllowTestAddresses bool

	// Gater is asked before dials and accepts, and again when a peer's key is proven; nil allows everything.
	Gater connmgr.ConnectionGater

	// Addresses is asked where to dial a peer of whom the caller names no address, the best first: a peer book knows. nil: what is in
	// the peerstore, in no order.
	Addresses func(p peer.ID) []KnownAddress

	// Transports replaces the TCP transport, for hosts that dial through a proxy: it gets the upgrader, the resource manager and that
	// TCP transport, and returns what dials and listens instead. No two may take the same address. /memory is always there.
	Transports func(u transport.Upgrader, r network.ResourceManager, tcp transport.Transport) ([]transport.Transport, error)

	// Hooks are told what happens.
	Hooks Hooks

	// Limits bound what strangers can make us hold.
	Limits Limits
}

// KnownAddress is an address of a peer, from Config.Addresses.
type KnownAddress struct {
	Addr       ma.Multiaddr
	Configured bool // by our own user: dialed even if it is an internal one, as those of Host.SetConfigured
}

// DefaultUserAgent is what we call ourselves unless Config says otherwise.
const DefaultUserAgent = "tari-libp2p/go"

// Hooks are told what happens, on the goroutine where it does: they must return soon, and may be called at the same time for different
// connections. Any may be nil.
type Hooks struct {
	// OnClaim: a connection is up, and this is what the peer says of itself. Addresses worth storing are claim.Filtered(…).
	OnClaim func(p peer.ID, claim *identityproto.Claim, dir network.Direction, addr ma.Multiaddr)

	// OnOffence: the peer broke the protocol in a way for which tari_comms bans it that long. Its connections are closed by us.
	OnOffence func(p peer.ID, ban time.Duration, reason error)

	// OnFailed: a connection failed between connect and ready. The peer is empty if its key was not known yet; the error is an
	// *UpgradeError. That nobody answers at an address is only told to who dials.
	OnFailed func(p peer.ID, dir network.Direction, addr ma.Multiaddr, err error)

	// OnRefused: an inbound connection was closed before a byte was read, displaced during the handshake, or, if idle, later.
	OnRefused func(addr ma.Multiaddr, reason Refusal)

	// OnRefusals: what was refused in the last minute, in sum. It is not called while nothing is.
	OnRefusals func(Refusals)
}

// Limits bound what strangers can make us hold. Zero fields take the value tari_comms has, given here.
type Limits struct {
	Inbound             int // connections that others opened: 500 a listener; a source that has none may then take the place of an idle one
	InboundPerSource    int // of these from one IPv4 address or one IPv6 /64: 32
	Handshakes          int // inbound handshakes at a time: 100 a listener
	HandshakesPerSource int // of these from one source: 4
	InboundOnion        int // connections that come by Config.ListenOnion: 500
	HandshakesOnion     int // of these in handshake: 100
	Outbound            int // connections that we opened: 512 (our choice)

	// Exempt are the sources that are not counted by source. nil: loopback alone. Other than in tari_comms, a list of one's own takes
	// the place of loopback.
	Exempt []netip.Prefix

	// Refuse are sources whose connections are closed before a byte is read: an operator's ban where no key is known yet. It does not
	// hold for ListenOnion, where everybody comes from Tor. tari_comms has nothing like it.
	Refuse []netip.Prefix

	// NeverDial are addresses that we do not dial, whoever claims them and whichever name leads there, as tari_comms has its
	// excluded_dial_addresses. A proxy that resolves names for us does not know of it.
	NeverDial []AddrRange

	// Liveness says who may ask whether we are alive. Its sessions occupy handshake slots, so at most half of those. nil: the
	// liveness byte is refused like an unknown one.
	Liveness *wiremode.Gate

	// Libp2p lets peers in that speak plain libp2p, under the same limits and on the same ports, and dials peers whose id is not that
	// of a Tari key. Package plainlibp2p makes one. nil: the first byte of such peers is refused like an unknown one.
	Libp2p Libp2p
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&l.Inbound, 500)
	set(&l.InboundPerSource, 32)
	set(&l.Handshakes, 100)
	set(&l.HandshakesPerSource, 4)
	set(&l.InboundOnion, 500)
	set(&l.HandshakesOnion, 100)
	set(&l.Outbound, 512)
	return l
}

func (l Limits) check() error {
	for name, v := range map[string]int{
		"Inbound": l.Inbound, "InboundPerSource": l.InboundPerSource, "Handshakes": l.Handshakes,
		"HandshakesPerSource": l.HandshakesPerSource, "InboundOnion": l.InboundOnion, "HandshakesOnion": l.HandshakesOnion, "Outbound": l.Outbound,
	} {
		if v < 0 {
			return fmt.Errorf("tari: Limits.%s is negative", name)
		}
	}
	if slots := l.withDefaults().Handshakes; l.Liveness != nil && l.Liveness.MaxSessions > slots/2 {
		return fmt.Errorf("tari: %d liveness sessions would take more than half of the %d handshake slots", l.Liveness.MaxSessions, slots)
	}
	return nil
}

// withDefaults fills the zero fields that have a default.
func (c Config) withDefaults() (Config, error) {
	if c.Key.IsZero() {
		key, err := tarikey.GenerateKey(nil)
		if err != nil {
			return c, err
		}
		c.Key = key
	}
	if c.Network.Name == "" && c.Network.WireByte == 0 {
		c.Network = dialect.Mainnet
	}
	if c.UserAgent == "" {
		c.UserAgent = DefaultUserAgent
	}
	if err := c.Limits.check(); err != nil {
		return c, err
	}
	c.Limits = c.Limits.withDefaults()
	return c, nil
}

// byteTable is what each first byte of an inbound connection means.
type byteTable struct {
	dialects map[byte]dialect.Dialect
	liveness map[byte]wiremode.Liveness // how to echo
}

// newByteTable refuses networks that would give one byte two meanings.
func newByteTable(networks []dialect.Network, l Limits) (byteTable, error) {
	t := byteTable{dialects: make(map[byte]dialect.Dialect), liveness: make(map[byte]wiremode.Liveness)}
	names := make(map[byte]string)
	for _, n := range networks {
		if other, taken := names[n.WireByte]; taken {
			if other == n.Name {
				continue
			}
			return t, fmt.Errorf("tari: networks %s and %s share the wire byte %#02x; accept only one of them", other, n.Name, n.WireByte)
		}
		names[n.WireByte] = n.Name
		t.dialects[n.WireByte] = dialect.Of(n)
		switch n.Liveness {
		case 0:
		case wiremode.LivenessSeed:
			t.liveness[n.Liveness] = wiremode.SeedLiveness()
		default:
			t.liveness[n.Liveness] = wiremode.ModernLiveness()
		}
	}
	for b := range t.liveness {
		if name, taken := names[b]; taken {
			return t, fmt.Errorf("tari: the wire byte %#02x of network %s asks for liveness in another", b, name)
		}
	}
	if name, taken := names[multistreamByte]; taken && l.Libp2p != nil {
		return t, fmt.Errorf("tari: the wire byte %#02x of network %s is how plain libp2p begins; Limits.Libp2p cannot be used with it", multistreamByte, name)
	}
	return t, nil
}
