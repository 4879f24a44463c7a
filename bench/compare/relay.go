package main

import (
	"net"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// relay delays what goes through it, each way by half a round trip.
type relay struct {
	in   net.Listener
	to   string
	half time.Duration
}

// startRelay returns a relay to where a child listens, and the child's address by way of it.
func startRelay(at string, roundTrip time.Duration) (*relay, string, error) {
	in, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	r := &relay{in: in, to: at, half: roundTrip / 2}
	via := in.Addr().String()
	if key, addr, ok := strings.Cut(at, "::"); ok {
		a, err := ma.NewMultiaddr(addr)
		if err != nil {
			return nil, "", err
		}
		target, err := manet.ToNetAddr(a)
		if err != nil {
			return nil, "", err
		}
		here, err := manet.FromNetAddr(in.Addr())
		if err != nil {
			return nil, "", err
		}
		r.to, via = target.String(), key+"::"+here.String()
	}
	go r.run()
	return r, via, nil
}

func (r *relay) run() {
	for {
		near, err := r.in.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		go r.carry(near, far)
		go r.carry(far, near)
	}
}

func (r *relay) close() { _ = r.in.Close() }

// carry has no limit of its own to what is under way: 64 MiB in pieces, far above what the windows of the stacks allow.
func (r *relay) carry(from, to net.Conn) {
	type piece struct {
		data []byte
		at   time.Time
	}
	under := make(chan piece, 1024)
	go func() {
		defer close(under)
		for {
			data := make([]byte, chunk)
			n, err := from.Read(data)
			if n > 0 {
				under <- piece{data[:n], time.Now().Add(r.half)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range under {
		time.Sleep(time.Until(p.at))
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	if c, ok := to.(*net.TCPConn); ok {
		_ = c.CloseWrite()
	}
	for range under { // so that the reader ends
	}
}
