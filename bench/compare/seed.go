package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/tari-libp2p/tari-libp2p/dialect"
)

// oursSeedStack is this library as it speaks with nodes of 2020.
var oursSeedStack = oursOn("ours 2020", dialect.Stibbons)

// acceptSeed is what a connection in the dialect of 2020 costs who accepts it, identity exchange included. Both are dialed by ours.
// tari_comms 0.8.1 sends a hundred messages a second and no more, so that little else can be compared.
func acceptSeed(p *pair, o options) (f figure, err error) {
	count := 300
	if o.quick {
		count = 5
	}
	var server *process
	if p.name == rustName {
		server, err = startSeed(o.seed)
	} else {
		server, err = startProcess("serve", oursSeedStack.name, "")
	}
	if err != nil {
		return f, err
	}
	defer server.stop()
	client, err := startProcess("client", oursSeedStack.name, "")
	if err != nil {
		return f, err
	}
	defer client.stop()
	reach := func(n int) (answer, error) { return client.do(command{Cmd: "reach", To: server.at, N: n, Parallel: 8}) }
	if _, err := reach(max(1, count/10)); err != nil {
		return f, err
	}
	before, err := server.cpu()
	if err != nil {
		return f, err
	}
	a, err := reach(count)
	if err != nil {
		return f, err
	}
	after, err := server.cpu()
	return figure{Rate: float64(count) / a.Seconds, CPU: (after - before).Seconds() / float64(count)}, err
}

// startSeed starts the peer of the interop tests, tari_comms 0.8.1, which listens.
func startSeed(program string) (*process, error) {
	if program == "" {
		return nil, errors.New("without -seed there is no figure of tari_comms 0.8.1")
	}
	dir, err := os.MkdirTemp("", "seed-")
	if err != nil {
		return nil, err
	}
	p, out, err := spawn("tari_comms 0.8.1", exec.Command(program, "--data-dir", dir))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ready := make(chan string, 1)
	go func() {
		defer os.RemoveAll(dir)
		defer close(p.lines)
		defer close(ready)
		var line struct {
			Event     string
			PublicKey string `json:"public_key"`
			Address   string
		}
		for lines := json.NewDecoder(bufio.NewReader(out)); lines.Decode(&line) == nil; { // and whatever it tells later
			if line.Event == "ready" {
				ready <- line.PublicKey + "::" + line.Address
			}
		}
	}()
	select {
	case at, ok := <-ready:
		if p.at = at; ok {
			return p, nil
		}
		err = fmt.Errorf("%s: it has ended", p.name)
	case <-time.After(childLimit):
		err = fmt.Errorf("%s: not ready in %s", p.name, childLimit)
	}
	p.stop()
	return nil, err
}

// reach makes N connections without a stream, from each of the dialers in turn, and ends each at once.
func (w *worker) reach(c command) (answer, error) {
	if err := w.need(max(1, c.Parallel)); err != nil {
		return answer{}, err
	}
	began := time.Now()
	for i := range c.N {
		d := w.dialers[i%len(w.dialers)]
		// As in connect: it may still have the one before.
		var l link
		var err error
		for range 10 {
			if l, err = d.dial(context.Background(), c.To); err == nil {
				break
			}
		}
		if err != nil {
			return answer{}, err
		}
		l.close()
	}
	return answer{Seconds: time.Since(began).Seconds()}, nil
}
