//go:build linux

package tornet

import (
	"context"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Hum keeps every link between two relays busy. Tor 0.4.9 sends one of several
// DESTROY cells that a relay owes another and the rest with the next traffic on
// that link. The public network has no idle links; here, without traffic, the
// introduction points of a service whose Tor was killed would go on to answer
// for it, and clients would keep asking them. So a client of its own builds a
// circuit over each link every second. Stop it with the function returned.
func (n *Network) Hum(ctx context.Context) (stop func(), err error) {
	client, err := n.Client("hum")
	if err != nil {
		return nil, err
	}
	if err := client.WaitBootstrapped(ctx); err != nil {
		return nil, err
	}
	cookie, err := os.ReadFile(filepath.Join(client.Dir, "control_auth_cookie"))
	if err != nil {
		return nil, err
	}
	c, err := net.Dial("tcp", client.Control)
	if err != nil {
		return nil, err
	}
	t := textproto.NewConn(c)
	if _, err := command(t, "AUTHENTICATE %x", cookie); err != nil {
		_ = t.Close()
		return nil, err
	}
	answer, err := command(t, "GETINFO ns/all")
	if err != nil {
		_ = t.Close()
		return nil, err
	}
	var ids []string
	for line := range strings.Lines(answer) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "r" {
			ids = append(ids, f[1])
		}
	}
	hctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { hum(hctx, t, ids) })
	return func() { cancel(); _ = t.Close(); wg.Wait() }, nil
}

// hum builds a circuit of two relays over each link, and closes it a second later.
func hum(ctx context.Context, t *textproto.Conn, names []string) {
	for {
		var circuits []string
		for i, a := range names {
			for _, b := range names[i+1:] {
				answer, err := command(t, "EXTENDCIRCUIT 0 %s,%s", a, b)
				if _, id, ok := strings.Cut(answer, "EXTENDED "); ok && err == nil {
					circuits = append(circuits, strings.TrimSpace(id))
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		for _, id := range circuits {
			_, _ = command(t, "CLOSECIRCUIT %s", id)
		}
	}
}

// command sends a line to a control port and returns the answer's text.
func command(t *textproto.Conn, format string, args ...any) (string, error) {
	if err := t.PrintfLine(format, args...); err != nil {
		return "", err
	}
	var text strings.Builder
	for {
		line, err := t.ReadLine()
		if err != nil {
			return "", err
		}
		if len(line) < 4 {
			return "", fmt.Errorf("the control port said %q", line)
		}
		text.WriteString(line[4:] + "\n")
		if line[3] == '+' {
			more, err := t.ReadDotLines()
			if err != nil {
				return "", err
			}
			text.WriteString(strings.Join(more, "\n") + "\n")
		}
		if line[3] == ' ' {
			if line[0] != '2' {
				return "", fmt.Errorf("the control port said %q", line)
			}
			return text.String(), nil
		}
	}
}
