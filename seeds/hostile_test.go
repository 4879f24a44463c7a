package seeds

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

func TestALostPacketIsSentAgain(t *testing.T) {
	t.Parallel()
	var seen atomic.Int32
	z := &zones{edit: func(w dns.ResponseWriter, m *dns.Msg) {
		if seen.Add(1) > 1 {
			_ = w.WriteMsg(m)
		}
	}}
	z.add(t, txt(seed))
	s := one(t, Config{Servers: []Server{serve(t, z, nil)}})
	if !slices.Equal(found(s), []string{seed}) {
		t.Errorf("found %q, failed %v", found(s), s.Failed)
	}
	for _, question := range z.questions() {
		if question != "udp TXT "+name {
			t.Errorf("asked %q", question)
		}
	}
}

// Whoever answers must not make us dial into our own network.
func TestInternalAddresses(t *testing.T) {
	z := &zones{}
	z.add(t, txt(key1+"::/ip4/127.0.0.1/tcp/22::/ip4/169.254.169.254/tcp/80"), txt(key2+"::/ip4/192.168.1.1/tcp/1::/ip4/1.2.3.4/tcp/1"))
	at := serve(t, z, nil)
	s := one(t, Config{Servers: []Server{at}})
	if !slices.Equal(found(s), []string{key2 + "::/ip4/1.2.3.4/tcp/1"}) || len(s.Bad) != 1 || s.Bad[0].Number != 1 || !errors.Is(s.Bad[0], ErrInternal) {
		t.Errorf("found %q, bad %v", found(s), s.Bad)
	}
	if s := one(t, Config{Servers: []Server{at}, AllowTestAddresses: true}); len(s.Peers) != 2 || len(s.Peers[1].Addrs) != 2 {
		t.Errorf("on a test network: %q, bad %v", found(s), s.Bad)
	}
}

// A server's word that there is no such name proves nothing: the next one is asked.
func TestNoSuchNameIsNotProven(t *testing.T) {
	for what, missing := range map[string]string{"name": "TXT " + name, "zone": "DNSKEY example.test.", "root": "DNSKEY ."} {
		tree := newTree(t)
		good := serve(t, tree.zones(), nil)
		all := tree.zones()
		lies := &zones{}
		for _, rr := range all.records {
			if kind, of, _ := strings.Cut(missing, " "); rr.Header().Name == of && (what == "name" || dns.TypeToString[rr.Header().Rrtype] == kind || rr.Header().Rrtype == dns.TypeRRSIG) {
				continue
			}
			lies.records = append(lies.records, rr)
		}
		lies.edit = func(w dns.ResponseWriter, m *dns.Msg) {
			if dns.TypeToString[m.Question[0].Qtype]+" "+m.Question[0].Name == missing {
				m.Rcode, m.Answer = dns.RcodeNameError, nil
			}
			_ = w.WriteMsg(m)
		}
		s := one(t, Config{Servers: []Server{serve(t, lies, nil), good}, DNSSEC: true, Anchors: []string{tree.root.ds().String()}})
		var fault *BogusError
		if !slices.Equal(found(s), []string{seed}) || len(s.Failed) != 1 || !errors.As(s.Failed[0], &fault) {
			t.Errorf("%s: found %q, failed %v", what, found(s), s.Failed)
		}
	}
}

func TestPublicServers(t *testing.T) {
	for _, s := range PublicServers() {
		if again, err := ParseServer(s.String()); err != nil || again != s || s.TLS == "" {
			t.Errorf("%v became %v, %v", s, again, err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, text := range []string{
		seed, "", key1, key1 + "::", key1 + "::/ip4/127.0.0.1/tcp/1", key1 + "::/ip6/::1/tcp/1::/ip6/2600::1/tcp/2", key1 + "::/dns4/a..b/tcp/1",
		key1 + "::/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:18141", strings.Repeat("::", 5000), "\x00::\xff",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s Source
		s.take([]string{text}, false)
		if text != "" && len(s.Peers)+len(s.Bad) != 1 {
			t.Fatalf("%d peers and %d bad of one record", len(s.Peers), len(s.Bad))
		}
		var again Source
		again.take(found(s), false)
		if !slices.Equal(found(again), found(s)) {
			t.Errorf("%q became %q", found(s), found(again))
		}
	})
}

// FuzzAnswer gives the bytes of a name server to all that reads them, with and without DNSSEC.
func FuzzAnswer(f *testing.F) {
	question := new(dns.Msg).SetQuestion(name, dns.TypeTXT)
	for _, text := range []string{txt(seed), "example.test. 60 IN DNSKEY 257 3 13 AwEAAQ==", ". 60 IN DS 1 13 2 00", name + " 60 IN A 1.2.3.4"} {
		rr, err := dns.NewRR(text)
		if err != nil {
			f.Fatal(err)
		}
		m := new(dns.Msg).SetReply(question)
		m.Answer = []dns.RR{rr, &dns.RRSIG{
			Hdr:         dns.RR_Header{Name: rr.Header().Name, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET},
			TypeCovered: rr.Header().Rrtype, Algorithm: 13, Labels: 3, Expiration: 1 << 31, SignerName: "example.test.", Signature: "AAAA",
		}}
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet)
	}
	f.Add([]byte("rubbish"))
	anchors, err := parseAnchors(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		packet = slices.Clone(packet)
		if len(packet) >= 2 {
			packet[0], packet[1] = byte(question.Id>>8), byte(question.Id)
		}
		answer, ok := parseAnswer(packet, question.Id)
		if !ok {
			return
		}
		var s Source
		s.take(textsOf(answer.Answer), false)
		asked := 0
		c := &chain{anchors: anchors, ask: func(context.Context, string, uint16) (*dns.Msg, error) {
			if asked++; asked > 1000 {
				t.Fatal("asks without end")
			}
			return answer, nil
		}}
		if rrs, err := c.secure(t.Context(), name, dns.TypeTXT); err == nil {
			t.Fatalf("proves %v to the root's keys", rrs)
		}
	})
}
