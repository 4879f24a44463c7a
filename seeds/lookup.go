package seeds

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
)

// DefaultTimeout is how long one server has for all that is asked about one
// name, as tari_comms has it.
const DefaultTimeout = 5 * time.Second

// Limits of what is taken.
const (
	MaxRecords = 1000 // TXT records of one name, and lines of one file that are peers
	atOnce     = 8    // names that are looked up at the same time
)

// Config says what to look up, and how. Only Names is needed.
type Config struct {
	Names   []string // whose TXT records list seeds; dialect.Network.DNSSeeds has those of a network
	Servers []Server // asked one after the other until one answers; none: the system's resolver

	// DNSSEC takes nothing but what signatures prove, from the Anchors down. It
	// needs servers of its own, and the whole path to the name must be signed.
	DNSSEC  bool
	Anchors []string // DS records in the text form of zone files; none: those of the root

	// Dial reaches a server in place of net.Dialer, such as through a proxy. It
	// is asked for "udp" first, and for "tcp" if that fails. The system's
	// resolver is not used with it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	AllowTestAddresses bool // internal addresses count too: whoever answers by DNS must not make us dial into our own network

	Roots   *x509.CertPool // who vouches for the names of TLS servers; nil: the system's
	Timeout time.Duration  // 0: DefaultTimeout
}

// Report is the outcome of a Lookup, a Source for each name, in their order.
type Report struct{ Sources []Source }

// Source is what a name or a file gave.
type Source struct {
	Name    string
	Server  string // who answered; empty if nobody did, or for a file
	Took    time.Duration
	Peers   []tari.Address
	Bad     []*RecordError // records that are no peers
	Failed  []*ServerError // servers that did not answer, in the order in which they were asked
	Dropped int            // records beyond MaxRecords
}

// Peers are all peers of a report, each key once with all its addresses.
func (r *Report) Peers() []tari.Address {
	var out []tari.Address
	at := map[string]int{}
	for _, s := range r.Sources {
		for _, p := range s.Peers {
			key := p.Key.String()
			i, known := at[key]
			if !known {
				i = len(out)
				at[key] = i
				out = append(out, tari.Address{Key: p.Key})
			}
			out[i].Addrs = append(out[i].Addrs, p.Addrs...)
		}
	}
	return out
}

// ErrInternal is a record of a name that has nothing but addresses inside some
// network, or of no use.
var ErrInternal = errors.New("no address that is reachable from everywhere")

// RecordError is a record or line that is no peer. It does not repeat it.
type RecordError struct {
	Number int // counted from 1
	Err    error
}

func (e *RecordError) Error() string { return fmt.Sprintf("record %d: %v", e.Number, e.Err) }

// Unwrap gives the reason.
func (e *RecordError) Unwrap() error { return e.Err }

// ServerError is a name server that gave no answer.
type ServerError struct {
	Server Server
	Err    error
}

func (e *ServerError) Error() string { return fmt.Sprintf("name server %s: %v", e.Server, e.Err) }

// Unwrap gives the reason: ErrNoName, a *CodeError, a *BogusError, what the
// connection said…
func (e *ServerError) Unwrap() error { return e.Err }

// Check says whether Lookup takes the Config, without asking anybody.
func (cfg Config) Check() error {
	_, err := parseAnchors(cfg.Anchors)
	return err
}

// Lookup asks for the seeds of all names. It always gives a report: what went
// wrong stands in it. The error is only about cfg.
func Lookup(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if len(cfg.Servers) == 0 {
		cfg.Servers = []Server{{}}
	}
	anchors, err := parseAnchors(cfg.Anchors)
	if err != nil {
		return nil, err
	}
	report := &Report{Sources: make([]Source, len(cfg.Names))}
	slots := make(chan struct{}, atOnce)
	var names sync.WaitGroup
	for i, name := range cfg.Names {
		slots <- struct{}{}
		names.Go(func() {
			defer func() { <-slots }()
			report.Sources[i] = lookup(ctx, &cfg, anchors, name)
		})
	}
	names.Wait()
	return report, nil
}

// lookup asks one server after the other for one name. A server that says that
// there is no such name has answered.
func lookup(ctx context.Context, cfg *Config, anchors []anchor, name string) Source {
	began := time.Now()
	s := Source{Name: name}
	for _, server := range cfg.Servers {
		ask := &asker{server: server, cfg: cfg, anchors: anchors}
		limited, cancel := context.WithTimeout(ctx, cfg.Timeout)
		texts, err := ask.txt(limited, name)
		if err != nil && limited.Err() != nil {
			err = limited.Err() // rather than what the end of the connection looked like
		}
		cancel()
		if err == nil {
			s.Server = server.String()
			s.take(texts, cfg.AllowTestAddresses)
			break
		}
		s.Failed = append(s.Failed, &ServerError{server, err})
		if errors.Is(err, ErrNoName) || ctx.Err() != nil {
			break
		}
	}
	s.Took = time.Since(began)
	return s
}

// take sorts records into peers and others. Empty ones are none.
func (s *Source) take(texts []string, internal bool) {
	for i, text := range texts {
		if text == "" {
			continue
		}
		if len(s.Peers)+len(s.Bad) == MaxRecords {
			s.Dropped = len(texts) - i
			return
		}
		s.add(i+1, text, internal)
	}
}

// add takes one record; of its addresses the internal ones only if they count.
func (s *Source) add(number int, text string, internal bool) {
	p, err := tari.ParseAddress(text)
	if err == nil && len(p.Addrs) == 0 {
		err = errors.New("a seed needs an address")
	}
	if err == nil && !internal {
		p.Addrs = slices.DeleteFunc(p.Addrs, func(a ma.Multiaddr) bool { return !identityproto.Usable(a, false) })
		if len(p.Addrs) == 0 {
			err = ErrInternal
		}
	}
	if err != nil {
		s.Bad = append(s.Bad, &RecordError{number, err})
		return
	}
	s.Peers = append(s.Peers, p)
}
