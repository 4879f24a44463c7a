package hostile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/memnet"
	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// A stranger that has a key and does everything right up to there: what it says
// above Noise is where the other parsers begin.

// yamux's header fields.
const (
	data, windowUpdate, ping, goAway = 0, 1, 2, 3
	syn, fin, rst                    = 1, 4, 8
)

// muxed is one yamux frame.
func muxed(kind byte, flags uint16, stream, length uint32, body string) string {
	h := binary.BigEndian.AppendUint16([]byte{0, kind}, flags)
	h = binary.BigEndian.AppendUint32(h, stream)
	return string(binary.BigEndian.AppendUint32(h, length)) + body
}

// carried is a yamux data frame with a true length.
func carried(flags uint16, stream uint32, body string) string {
	return muxed(data, flags, stream, uint32(len(body)), body)
}

func framed(body string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) + body
}

func hello(flags byte, id protocol.ID) string {
	return string([]byte{byte(len(id)), flags}) + string(id)
}

// inside is what a dialect's stranger says above Noise.
type inside struct {
	network  dialect.Network
	params   noise.Params
	identity func(*testing.T, tarikey.SecretKey) string // up to where substreams are free
	stream   uint32                                     // the first free one
	open     func(stream uint32, body string) string    // a stream with its first bytes
	message  protocol.ID
}

var insides = []inside{
	{
		network: dialect.Esmeralda, stream: 1, message: tariproto.Messaging,
		params:   noise.Params{Pattern: noise.XX, Prologue: []byte("com.tari.comms.noise.prologue"), HashDH: true},
		identity: func(t *testing.T, sk tarikey.SecretKey) string { return identityFrame(t, must(t, local(t, sk))) },
		open:     func(stream uint32, body string) string { return carried(syn, stream, body) },
	},
	{
		network: dialect.Stibbons, stream: 3, message: tariproto.MessagingSeed,
		params:   noise.Params{Pattern: noise.IX},
		identity: seedIdentity,
		open: func(stream uint32, body string) string {
			return muxed(windowUpdate, syn, stream, 1<<18, "") + carried(0, stream, body)
		},
	},
}

func identityFrame(t *testing.T, c *identityproto.Claim) string {
	t.Helper()
	return frameOf(identityproto.EncodeMessage(c))
}

// frameOf frames any message, also one that no honest sender would.
func frameOf(m []byte) string {
	return string(binary.LittleEndian.AppendUint16([]byte{0}, uint16(len(m)))) + string(m)
}

func seedIdentity(_ *testing.T, sk tarikey.SecretKey) string {
	id := sk.Public().NodeID()
	field := func(num byte, v string) string { return string([]byte{num<<3 | 2, byte(len(v))}) + v }
	claim := field(1, string(id[:])) + field(2, "/memory/1") + "\x18\x03" + field(4, string(tariproto.IdentitySeed)) + field(5, "stranger/1")
	return muxed(windowUpdate, syn, 1, 1<<22, "") + carried(0, 1, hello(3, tariproto.IdentitySeed)+framed(claim)) + muxed(data, fin, 1, 0, "")
}

// outcome is what a host made of one connection.
type outcome struct {
	up       bool            // it came to a connection
	failed   error           // if it did not: the *tari.UpgradeError
	offences []time.Duration // what the host wants the peer banned for
}

// listener is a live host, and what becomes of each connection to it. These
// tests run on the real clock: the stranger ends what the host does not end.
type listener struct {
	*victim
	up       chan struct{}
	offended chan struct{}
	ended    chan outcome
	mu       sync.Mutex
	now      outcome
}

func listen(t *testing.T, n dialect.Network) *listener {
	t.Helper()
	l := &listener{up: make(chan struct{}, 1), offended: make(chan struct{}, 1), ended: make(chan outcome, 1)}
	report := func(change func(*outcome), last bool) {
		l.mu.Lock()
		change(&l.now)
		was := l.now
		if last {
			l.now = outcome{}
		}
		l.mu.Unlock()
		if last {
			select {
			case l.ended <- was:
			default: // nobody asked: not one of the strangers
			}
		}
	}
	l.victim = startWith(t, n, key(t, 1), tari.Hooks{
		OnFailed: func(_ peer.ID, _ network.Direction, _ ma.Multiaddr, err error) {
			report(func(o *outcome) { o.failed = err }, !bans(err)) // an offence is told of afterwards
		},
		OnOffence: func(_ peer.ID, d time.Duration, _ error) {
			if failed, up := l.how(); failed || up { // else it is late: of a dialogue that is over
				report(func(o *outcome) { o.offences = append(o.offences, d) }, failed)
			}
			signal(l.offended)
		},
	})
	l.Network().Notify(&network.NotifyBundle{
		ConnectedF: func(network.Network, network.Conn) {
			report(func(o *outcome) { o.up = true }, false)
			signal(l.up)
		},
		DisconnectedF: func(network.Network, network.Conn) { report(func(*outcome) {}, true) },
	})
	return l
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func drain(c <-chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// how is the connection of now.
func (l *listener) how() (failed, up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now.failed != nil, l.now.up
}

func bans(err error) bool {
	var ban interface{ BanFor() time.Duration }
	return errors.As(err, &ban) && ban.BanFor() > 0
}

// say holds a dialogue above Noise, ends it, and returns what the host made of
// it. Words for substreams follow when the connection is up. If hold, the
// stranger does not end it before the host has taken offence.
func (in inside) say(t *testing.T, l *listener, sk tarikey.SecretKey, identity, substreams string, hold bool) outcome {
	t.Helper()
	drain(l.up)
	drain(l.offended)
	select {
	case <-l.ended:
	default:
	}
	raw, err := memnet.Dial(t.Context(), l.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	c, err := noise.Client(t.Context(), raw, noise.Config{Params: in.params, Static: sk, Preamble: []byte{in.network.WireByte}})
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(io.Discard, raw) })
	defer func() {
		_ = raw.Close()
		reading.Wait()
	}()
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	speak := func(words string) {
		if words != "" {
			_, _ = io.WriteString(c, words) // the host may have had enough before the end
		}
	}
	speak(identity)
	if substreams != "" {
		select {
		case <-l.up:
		case <-patience.C:
			t.Fatal("the connection did not come up")
		}
		speak(substreams)
	}
	if hold {
		select {
		case <-l.offended:
		case <-patience.C:
			t.Fatal("the host took no offence")
		}
	}
	_ = raw.CloseWrite()
	select {
	case o := <-l.ended:
		return o
	case <-patience.C:
		t.Fatal("the host did not end the connection")
		return outcome{}
	}
}

// holds is what must be true after any dialogue: a typed error that names the stage, an offence exactly where the error
// says so, of a length that tari_comms knows.
func (o outcome) holds(t *testing.T, name string) {
	t.Helper()
	for _, b := range o.offences {
		if b != 2*time.Hour && b != 2*time.Minute && b != 10*time.Minute {
			t.Errorf("%s: a ban of %v", name, b)
		}
	}
	if o.up {
		return
	}
	var at *dialect.StageError
	if !errors.As(o.failed, &at) || at.Stage != dialect.StageIdentity && at.Stage != dialect.StageMuxer {
		t.Errorf("%s: %v", name, o.failed)
	}
	var want []time.Duration
	var ban interface{ BanFor() time.Duration }
	if errors.As(o.failed, &ban) && ban.BanFor() > 0 {
		want = append(want, ban.BanFor())
	}
	if !slices.Equal(o.offences, want) {
		t.Errorf("%s: banned for %v, the error says %v: %v", name, o.offences, want, o.failed)
	}
}

type change struct{ name, words string }

// changesOf cuts words at every byte, flips bits of every byte, and puts bad lengths everywhere.
func changesOf(words string) (out []change) {
	for at := range words {
		out = append(out, change{fmt.Sprintf("cut at %d", at), words[:at]})
		for bit := range bitsFlipped {
			b := []byte(words)
			b[at] ^= 1 << ((at + bit) % 8)
			out = append(out, change{fmt.Sprintf("byte %d, bit %d", at, (at+bit)%8), string(b)})
		}
		if at%4 == 0 && at+4 <= len(words) {
			for _, length := range []uint32{0, 1, 1 << 23, 1<<23 + 1, 1<<32 - 1} {
				lies := words[:at] + string(binary.BigEndian.AppendUint32(nil, length)) + words[at+4:]
				out = append(out, change{fmt.Sprintf("%d at %d", length, at), lies})
			}
		}
	}
	return out
}

// TestTamperedInside holds a dialogue above Noise, spoilt in every way of changesOf.
func TestTamperedInside(t *testing.T) {
	for _, in := range insides {
		t.Run(in.network.Name, func(t *testing.T) {
			identity := in.identity(t, key(t, 2))
			substreams := in.open(in.stream, hello(3, in.message)+framed("a message")) + muxed(ping, syn, 0, 7, "") +
				in.open(in.stream+2, hello(0, "/nobody/serves/this")) + muxed(goAway, 0, 0, 0, "")
			changes := changesOf(identity)
			opening := len(changes)
			changes = append(changes, changesOf(substreams)...)
			t.Logf("%d cases on %d bytes", len(changes), len(identity)+len(substreams))
			const group = 200
			for from := 0; from < len(changes); from += group {
				part := changes[from:min(from+group, len(changes))]
				t.Run(fmt.Sprint(from), func(t *testing.T) {
					t.Parallel()
					l := listen(t, in.network)
					_, got := messages(t, l.victim)
					for i, c := range part {
						if from+i < opening {
							in.say(t, l, key(t, 2), c.words, "", false).holds(t, c.name)
						} else {
							in.say(t, l, key(t, 2), identity, c.words, false).holds(t, c.name)
						}
					}
					healthy(t, in.network, l.victim, got)
				})
			}
		})
	}
}

// TestClaimsAndTheirBans shows claims to a live host: what each costs is what tari_comms takes for it.
func TestClaimsAndTheirBans(t *testing.T) {
	const long, short = 2 * time.Hour, 2 * time.Minute
	in := insides[0]
	sk := key(t, 2)
	claim := func(change func(*identityproto.Claim)) string { // signed after the change
		c := *must(t, local(t, sk))
		change(&c)
		if err := c.Sign(sk, time.Now()); err != nil {
			t.Fatal(err)
		}
		return identityFrame(t, &c)
	}
	after := func(change func(*identityproto.Claim)) string { // changed after signing
		c := *must(t, local(t, sk))
		s := *c.Signature
		c.Signature = &s
		change(&c)
		return identityFrame(t, &c)
	}
	many := func(n int) (out []protocol.ID) {
		for i := range n {
			out = append(out, protocol.ID(fmt.Sprint("p", i)))
		}
		return out
	}
	addresses := func(texts ...string) func(*identityproto.Claim) {
		return func(c *identityproto.Claim) {
			c.Addresses = nil
			for _, text := range texts {
				c.Addresses = append(c.Addresses, ma.StringCast(text))
			}
		}
	}
	for name, c := range map[string]struct {
		words string
		ban   time.Duration
		up    bool // the connection comes up
	}{
		"a good one":               {words: claim(func(*identityproto.Claim) {}), up: true},
		"no address":               {words: claim(addresses()), up: true},
		"21 protocols":             {words: claim(func(c *identityproto.Claim) { c.Protocols = many(21) }), ban: long},
		"a long protocol":          {words: claim(func(c *identityproto.Claim) { c.Protocols = []protocol.ID{protocol.ID(strings.Repeat("p", 51))} }), ban: long},
		"a comma in a protocol":    {words: claim(func(c *identityproto.Claim) { c.Protocols = []protocol.ID{"a,b"} })},
		"six addresses":            {words: claim(addresses("/memory/1", "/memory/2", "/memory/3", "/memory/4", "/memory/5", "/memory/6")), ban: long},
		"a long user agent":        {words: claim(func(c *identityproto.Claim) { c.UserAgent = strings.Repeat("u", 51) }), ban: long},
		"a user agent that clears": {words: claim(func(c *identityproto.Claim) { c.UserAgent = "\x1b[2J" })},
		"an address over UDP":      {words: claim(addresses("/ip4/1.2.3.4/udp/1")), ban: long},
		"port 0":                   {words: claim(addresses("/ip4/1.2.3.4/tcp/0")), ban: long},
		"onion of version 2":       {words: claim(addresses("/onion/aaimaq4ygg2iegci:80")), ban: long},
		"unknown features":         {words: claim(func(c *identityproto.Claim) { c.Features = 8 })},
		"unsigned":                 {words: after(func(c *identityproto.Claim) { c.Signature = nil })},
		"other features":           {words: after(func(c *identityproto.Claim) { c.Features = 0 }), ban: long},
		"another address":          {words: after(addresses("/memory/9")), ban: long},
		"another day":              {words: after(func(c *identityproto.Claim) { c.Signature.UpdatedAt = c.Signature.UpdatedAt.Add(time.Hour) }), ban: long},
		"signed as version 1":      {words: after(func(c *identityproto.Claim) { c.Signature.Version = 1 }), ban: long},
		"no protobuf":              {words: frameOf([]byte{0xff}), ban: long},
		"1,025 bytes":              {words: frameOf(make([]byte, 1025)), ban: long},
		"65,535 bytes":             {words: "\x00\xff\xff", ban: long},
		"a newer protocol":         {words: "\x01\x00\x00", ban: short},
		"a length and no more":     {words: "\x00\x10\x00"},
		"not a word":               {words: ""},
		"half a header":            {words: "\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := in.say(t, listen(t, in.network), sk, c.words, "", false)
			o.holds(t, name)
			var want []time.Duration
			if c.ban > 0 {
				want = append(want, c.ban)
			}
			if o.up != c.up || !slices.Equal(o.offences, want) {
				t.Errorf("up: %v, want %v; banned for %v, want %v: %v", o.up, c.up, o.offences, want, o.failed)
			}
		})
	}
}

// TestSubstreams says what no substream may hear: each flag of a negotiation, each kind of length of a message.
func TestSubstreams(t *testing.T) {
	for _, in := range insides {
		t.Run(in.network.Name, func(t *testing.T) {
			t.Parallel()
			l := listen(t, in.network)
			_, got := messages(t, l.victim)
			check := func(name, words string, want ...time.Duration) {
				t.Helper()
				o := in.say(t, l, key(t, 2), in.identity(t, key(t, 2)), words, len(want) > 0)
				o.holds(t, name)
				if !o.up || !slices.Equal(o.offences, want) {
					t.Errorf("%s: up: %v, banned for %v, want %v", name, o.up, o.offences, want)
				}
			}
			for flags := range 256 {
				var want []time.Duration
				if flags > 7 {
					want = append(want, 2*time.Hour)
				}
				check(fmt.Sprintf("flags %#x", flags), in.open(in.stream, hello(byte(flags), "/nobody")), want...)
			}
			for _, length := range []uint32{0, 1, 9, 1 << 16, 8 << 20, 8<<20 + 1, 1 << 31, 1<<32 - 1} {
				var want []time.Duration
				if length > 8<<20 || length < 9 { // or the next length is "a me"
					want = append(want, 10*time.Minute)
				}
				words := in.open(in.stream, hello(3, in.message)+string(binary.BigEndian.AppendUint32(nil, length))+"a message")
				check(fmt.Sprintf("a message of %d bytes", length), words, want...)
			}
			healthy(t, in.network, l.victim, got)
		})
	}
}

// TestFrames sends yamux what breaks its rules: the session ends, or the frame counts for nothing; nobody is banned.
func TestFrames(t *testing.T) {
	for _, in := range insides {
		t.Run(in.network.Name, func(t *testing.T) {
			t.Parallel()
			free := in.stream
			{
				l := listen(t, in.network)
				_, got := messages(t, l.victim)
				for name, words := range map[string]string{
					"another version":          "\x01" + muxed(ping, syn, 0, 1, "")[1:],
					"an unknown type":          muxed(4, 0, 0, 0, ""),
					"the last type":            muxed(255, 0, 0, 0, ""),
					"all flags":                muxed(data, 0xffff, free, 0, ""),
					"data on stream 0":         carried(syn, 0, "x"),
					"a window for stream 0":    muxed(windowUpdate, 0, 0, 1, ""),
					"a stream of ours":         carried(syn, 2, "x"),
					"a stream twice":           carried(syn, free, "x") + carried(syn, free, "x"),
					"data of no stream":        carried(0, 99, "x"),
					"FIN of no stream":         muxed(data, fin, 99, 0, ""),
					"RST of no stream":         muxed(data, rst, 99, 0, ""),
					"first data too large":     muxed(data, syn, free, 1<<18+1, strings.Repeat("x", 1<<18+1)),
					"data beyond the window":   carried(syn, free, strings.Repeat("\x00", 1<<18)) + carried(0, free, "x"),
					"a frame of 4 GiB":         muxed(data, syn, free, 1<<32-1, ""),
					"a window of 4 GiB":        muxed(windowUpdate, syn, free, 1<<32-1, ""),
					"windows that overflow":    carried(syn, free, "x") + muxed(windowUpdate, 0, free, 1<<32-1, "") + muxed(windowUpdate, 0, free, 1<<32-1, ""),
					"data after FIN":           carried(syn|fin, free, "x") + carried(0, free, "y"),
					"data after RST":           carried(syn|rst, free, "x") + carried(0, free, "y"),
					"a pong nobody asked for":  muxed(ping, 2, 0, 12345, ""),
					"a ping with a stream":     muxed(ping, syn, free, 1, ""),
					"half a header":            muxed(ping, syn, 0, 1, "")[:7],
					"half a frame":             muxed(data, syn, free, 100, "x"),
					"GoAway":                   muxed(goAway, 0, 0, 0, ""),
					"GoAway, protocol error":   muxed(goAway, 0, 0, 1, ""),
					"GoAway, unknown":          muxed(goAway, 0, 0, 1<<32-1, ""),
					"data after GoAway":        muxed(goAway, 0, 0, 0, "") + carried(syn, free, "x"),
					"a thousand pings":         strings.Repeat(muxed(ping, syn, 0, 1, ""), 1000),
					"129 streams":              streams(free, 129, syn),
					"a thousand reset streams": streams(free, 1000, syn|rst),
					"nonsense":                 strings.Repeat("GET / HTTP/1.1\r\n", 10),
					"zeros":                    strings.Repeat("\x00", 1000),
				} {
					o := in.say(t, l, key(t, 2), in.identity(t, key(t, 2)), words, false)
					o.holds(t, name)
					if !o.up || len(o.offences) > 0 {
						t.Errorf("%s: up: %v, banned for %v: %v", name, o.up, o.offences, o.failed)
					}
				}
				healthy(t, in.network, l.victim, got)
			}
		})
	}
}

func streams(first uint32, n int, flags uint16) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(muxed(data, flags, first+2*uint32(i), 1, "x"))
	}
	return b.String()
}
