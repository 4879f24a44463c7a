package yamux

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
)

// TestViolations sends the session, which is a server, frames that no peer may
// send. Each must get GoAway(1) and end the session with a ViolationError.
func TestViolations(t *testing.T) {
	syn := frame(typeWindowUpdate, flagSYN, 1, 0)
	for name, frames := range map[string][][]byte{
		"version 1":                  {{1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}},
		"type 4":                     {frame(4, 0, 1, 0)},
		"type 255":                   {frame(255, flagSYN, 1, 0)},
		"data on stream 0":           {data(0, 0, "x")},
		"SYN on stream 0":            {data(flagSYN, 0, "x")},
		"window update on stream 0":  {frame(typeWindowUpdate, 0, 0, 1)},
		"wrong parity":               {data(flagSYN, 2, "x")},
		"wrong parity, window":       {frame(typeWindowUpdate, flagSYN, 2, 0)},
		"id in use":                  {syn, syn},
		"id in use, data":            {data(flagSYN, 1, "x"), data(flagSYN, 1, "y")},
		"SYN data beyond the window": {frame(typeData, flagSYN, 1, initialWindow+1)},
		"SYN data of 1 MiB":          {frame(typeData, flagSYN, 1, 1<<20)},
		"data beyond the window":     {syn, frame(typeData, 0, 1, initialWindow+1)},
		"second frame beyond it":     {syn, data(0, 1, strings.Repeat("x", initialWindow)), data(0, 1, "y")},
		"frame of 1 MiB + 1":         {frame(typeData, 0, 1, 1<<20+1)},
		"frame of 4 GiB":             {frame(typeData, flagSYN, 1, 1<<32-1)},
		"unknown stream, 4 GiB":      {frame(typeData, 0, 77, 1<<32-1)},
		"window overflow at SYN":     {frame(typeWindowUpdate, flagSYN, 1, 1<<32-1)},
		"window overflow":            {syn, frame(typeWindowUpdate, 0, 1, 1<<32-1)},
		"window overflow by steps":   {syn, frame(typeWindowUpdate, 0, 1, 1<<31), frame(typeWindowUpdate, 0, 1, 1<<31)},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := withPeer(t, false, Config{})
			p.send(frames...)
			if code := p.goAway(); code != goAwayProtocol {
				t.Errorf("GoAway(%d)", code)
			}
			p.conn.Close()
			err := acceptError(s)
			var breach *ViolationError
			if !errors.As(err, &breach) {
				t.Errorf("session ended with %v", err)
			}
			if _, err := s.OpenStream(t.Context()); !errors.As(err, &breach) {
				t.Errorf("OpenStream: %v", err)
			}
		})
	}
}

// acceptError accepts until the session ends.
func acceptError(s *Session) error {
	for {
		st, err := s.AcceptStream()
		if err != nil {
			return err
		}
		st.Reset()
	}
}

// TestTolerated sends what must be let pass, and then opens a stream.
func TestTolerated(t *testing.T) {
	for name, frames := range map[string][][]byte{
		"data for an unknown stream":   {data(0, 99, "lost"), data(0, 4, "lost")},
		"FIN for an unknown stream":    {data(flagFIN, 99, "")},
		"window for an unknown stream": {frame(typeWindowUpdate, 0, 99, 1<<32-1)},
		"RST for an unknown stream":    {frame(typeWindowUpdate, flagRST, 99, 5), data(flagRST, 99, "")},
		"SYN and RST in one":           {data(flagSYN|flagRST, 99, ""), data(flagSYN|flagRST, 97, "body")},
		"SYN and FIN in one":           {data(flagSYN|flagFIN, 99, "")},
		"all flags for an unknown":     {data(0xfffe, 99, "body")},
		"unknown flags":                {frame(typePing, 0xff00, 0, 1)},
		"a pong nobody asked for":      {frame(typePing, flagACK, 0, 1)},
		"a ping on a stream":           {frame(typePing, 0, 5, 1)},
		"data after FIN":               {data(flagSYN|flagFIN, 99, "x"), data(0, 99, "y")},
		"data after RST":               {data(flagSYN, 99, "x"), data(flagRST, 99, ""), data(0, 99, "y")},
		"two FINs":                     {data(flagSYN|flagFIN, 99, "x"), data(flagFIN, 99, "")},
		"empty data":                   {data(flagSYN, 99, ""), data(0, 99, ""), data(0, 99, "")},
		"window update of 0":           {data(flagSYN, 99, ""), frame(typeWindowUpdate, 0, 99, 0)},
		"largest window":               {frame(typeWindowUpdate, flagSYN, 99, 1<<32-1-initialWindow)},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := withPeer(t, false, Config{})
			p.send(frames...)
			p.send(data(flagSYN|flagFIN, 101, "hello"))
			for {
				st := accept(t, s)
				if st.id != 101 {
					continue
				}
				want(t, st, "hello")
				break
			}
			if s.IsClosed() {
				t.Error("the session ended")
			}
		})
	}
}

// TestTruncated ends the connection after each byte of a good conversation.
func TestTruncated(t *testing.T) {
	whole := append(frame(typePing, flagSYN, 0, 7), data(flagSYN, 1, "hello")...)
	whole = append(whole, frame(typeWindowUpdate, 0, 1, 10)...)
	whole = append(whole, data(flagFIN, 1, "world")...)
	for n := range whole {
		s, p := withPeer(t, false, Config{})
		p.send(whole[:n])
		p.conn.Close()
		wantConnError(t, acceptError(s), true, 0, ErrConnectionEnded)
		if err := s.Close(); err != nil {
			t.Fatal(n, err)
		}
	}
}

func TestErrors(t *testing.T) {
	var temporary interface{ Temporary() bool }
	err := error(&LimitError{"x"})
	if !errors.Is(err, network.ErrResourceLimitExceeded) || !errors.As(err, &temporary) || !temporary.Temporary() {
		t.Error("a LimitError is a temporary lack of resources")
	}
	if errors.Is(remoteEnd(0, ErrConnectionEnded), io.EOF) {
		t.Error("the end of a connection looks like the end of a stream")
	}
	if !errors.Is(remoteEnd(0, ErrGoAway), network.ErrReset) {
		t.Error("code that looks for ErrReset must see the end of a connection")
	}
}
