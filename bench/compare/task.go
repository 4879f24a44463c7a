package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// rustName is the stack of the program in rust/.
const rustName = "rust"

// pair is a child that listens and one that dials it, which stay for the whole run and rest while others are measured.
type pair struct {
	name           string
	server, client *process
	sized          map[string]int // operations that take about as long as a measurement should
	rust           string
}

func (p *pair) stop() {
	for _, c := range []*process{p.client, p.server} {
		if c != nil {
			c.stop()
		}
	}
}

// pairNames are each stack with itself, and ours with Rust both ways: who dials, and who listens.
var pairNames = [][2]string{
	{"tcp", "tcp"},
	{"tcp+aead", "tcp+aead"},
	{"ours", "ours"},
	{"stock", "stock"},
	{"stock host", "stock host"},
	{rustName, rustName},
	{"ours", rustName},
	{rustName, "ours"},
}

// startPairs starts those that are asked for.
func startPairs(o options) (pairs []*pair, err error) {
	for _, names := range pairNames {
		if (names[0] == rustName || names[1] == rustName) && o.rust == "" {
			continue
		}
		if o.pairs != "" && !slices.Contains(strings.Split(o.pairs, ","), pairName(names[0], names[1])) {
			continue
		}
		p, err := startPair(names[0], names[1], o.rust)
		if err != nil {
			return pairs, err
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

func pairName(client, server string) string {
	if client == server {
		return client
	}
	return client + "→" + server
}

func startPair(client, server, rust string) (p *pair, err error) {
	p = &pair{name: pairName(client, server), sized: map[string]int{}, rust: rust}
	if p.server, err = startProcess("serve", server, rust); err != nil {
		return nil, err
	}
	if p.client, err = startProcess("client", client, rust); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// task is a row of the table.
type task struct {
	name  string
	unit  string // of an operation
	not   []string
	run   func(p *pair, o options) (figure, error)
	text  func(figure) string
	goals []goal
}

func (t *task) takes(pair string) bool { return !slices.Contains(t.not, pair) }

// goal is what ours has to reach against another pair.
type goal struct {
	against string
	what    func(figure) float64
	clock   bool // what is measured by the clock says nothing on a busy machine
	atMost  float64
	atLeast float64
	text    string
}

func rate(f figure) float64  { return f.Rate }
func cpu(f figure) float64   { return f.CPU }
func p50(f figure) float64   { return f.P50 }
func value(f figure) float64 { return f.Value }

const mib = 1 << 20

var tasks = []task{
	{
		name: "bulk", unit: "GiB", not: []string{"stock host"},
		run:  loop("bulk", func(p *pair, n int) command { return command{Cmd: "bulk", To: p.server.at, N: n * mib} }, 16, 1.0/1024),
		text: func(f figure) string { return fmt.Sprintf("%.0f MiB/s, %.2f cpu-s/GiB", f.Rate*1024, f.CPU) },
		goals: []goal{
			{against: rustName, what: cpu, atMost: 0.5, text: "cpu ≤ 0.5×"},
			{against: "stock", what: cpu, atMost: 0.8, text: "cpu ≤ 0.8×"},
		},
	},
	{
		name: "bulk over 50 ms", unit: "MiB", not: []string{"stock host", "tcp+aead"},
		run:  bulkFar,
		text: func(f figure) string { return fmt.Sprintf("%.0f MiB/s", f.Rate) },
		goals: []goal{
			{against: rustName, what: rate, clock: true, atLeast: 1, text: "rate ≥ 1.0×"},
			{against: "stock", what: rate, clock: true, atLeast: 2, text: "rate ≥ 2×"},
		},
	},
	messageTask("messages 64 B", 64, []goal{
		{against: rustName, what: rate, clock: true, atLeast: 50, text: "rate ≥ 50×"},
		{against: "stock", what: rate, clock: true, atLeast: 1, text: "rate ≥ 1.0×"},
	}),
	messageTask("messages 1 KiB", 1024, []goal{
		{against: rustName, what: rate, clock: true, atLeast: 8, text: "rate ≥ 8×"},
		{against: rustName, what: cpu, atMost: 0.12, text: "cpu ≤ 0.12×"},
		{against: "stock", what: rate, clock: true, atLeast: 1.2, text: "rate ≥ 1.2×"},
	}),
	messageTask("messages 64 KiB", 64<<10, []goal{
		{against: rustName, what: cpu, atMost: 0.5, text: "cpu ≤ 0.5×"},
		{against: "stock", what: cpu, atMost: 0.9, text: "cpu ≤ 0.9×"},
	}),
	{
		name: "round trip", unit: "round trip", not: []string{"stock host"},
		run:  loop("rtt", func(p *pair, n int) command { return command{Cmd: "rtt", To: p.server.at, N: n} }, 2000, 1),
		text: func(f figure) string { return fmt.Sprintf("p50 %.0f µs, p99 %.0f µs", f.P50*1e6, f.P99*1e6) },
		goals: []goal{
			{against: rustName, what: p50, clock: true, atMost: 0.65, text: "p50 ≤ 0.65×"},
			{against: "stock", what: p50, clock: true, atMost: 0.85, text: "p50 ≤ 0.85×"},
		},
	},
	{
		name: "RPC call", unit: "call", not: withoutRPC,
		run: loop("calls", func(p *pair, n int) command { return command{Cmd: "calls", To: p.server.at, N: n} }, 2000, 1),
		text: func(f figure) string {
			return fmt.Sprintf("p50 %.0f µs, p99 %.0f µs, %.0f cpu-µs", f.P50*1e6, f.P99*1e6, f.CPU*1e6)
		},
		goals: []goal{{against: rustName, what: p50, clock: true, atMost: 0.6, text: "p50 ≤ 0.6×"}},
	},
	itemsTask("RPC items 1 KiB", 1024, []goal{{against: rustName, what: rate, clock: true, atLeast: 5, text: "rate ≥ 5×"}}),
	itemsTask("RPC items 64 KiB", 64<<10, []goal{{against: rustName, what: rate, clock: true, atLeast: 2, text: "rate ≥ 2×"}}),
	{
		name: "connect", unit: "connection",
		run:  loop("connect", func(p *pair, n int) command { return command{Cmd: "connect", To: p.server.at, N: n} }, 50, 1),
		text: connectText,
		goals: []goal{
			{against: rustName, what: cpu, atMost: 0.45, text: "cpu ≤ 0.45×"},
			{against: "stock", what: cpu, atMost: 0.45, text: "cpu ≤ 0.45×"},
		},
	},
	{
		name: "connect × 8", unit: "connection",
		run:  loop("connect8", func(p *pair, n int) command { return command{Cmd: "connect", To: p.server.at, N: 8 * n, Parallel: 8} }, 10, 8),
		text: connectText,
		goals: []goal{
			{against: rustName, what: cpu, atMost: 0.45, text: "cpu ≤ 0.45×"},
			{against: "stock", what: cpu, atMost: 0.45, text: "cpu ≤ 0.45×"},
		},
	},
	{
		name: "accept, in the dialect of 2020 (Rust: 0.8.1)", unit: "connection", not: []string{"tcp", "tcp+aead", "stock", "stock host", "ours→rust", "rust→ours"},
		run:  acceptSeed,
		text: func(f figure) string { return fmt.Sprintf("%.2f cpu-ms", f.CPU*1e3) },
	},
	{
		name: "idle memory", unit: "connection", not: []string{"rust→ours", "ours→rust"},
		run:  idle,
		text: func(f figure) string { return fmt.Sprintf("%.1f KiB", f.Value/1024) },
		goals: []goal{
			{against: rustName, what: value, atMost: 0.1, text: "≤ 0.1×"},
			{against: "stock", what: value, atMost: 0.5, text: "≤ 0.5×"},
		},
	},
	{
		name: "first echo", unit: "",
		run:   firstEcho,
		text:  func(f figure) string { return fmt.Sprintf("%.2f round trips", f.Value) },
		goals: []goal{{what: value, atMost: 2.2, text: "≤ 2.2"}},
	},
	bookTask("book get, 100,000 peers", "get", 100_000, []string{"ours", rustName},
		[]goal{{against: rustName, what: rate, clock: true, atLeast: 30, text: "rate ≥ 30×"}}),
	bookTask("book closest 20, 1,000,000 peers", "closest", 1_000_000, []string{"ours"},
		[]goal{{what: micros, clock: true, atMost: 25, text: "≤ 25 µs"}}),
}

// withoutRPC are the stacks that it does not run on, and the one that would say no more than its neighbour.
var withoutRPC = []string{"tcp", "tcp+aead", "stock host"}

// itemsTask streams items of a size.
func itemsTask(name string, size int, goals []goal) task {
	order := func(p *pair, n int) command { return command{Cmd: "items", To: p.server.at, N: n, Size: size} }
	return task{
		name: name, unit: "item", not: withoutRPC, goals: goals,
		run:  loop(name, order, max(200, min(20_000, 64*mib/size)), 1),
		text: func(f figure) string { return fmt.Sprintf("%.0f/s, %.2f cpu-µs", f.Rate, f.CPU*1e6) },
	}
}

func connectText(f figure) string { return fmt.Sprintf("%.0f/s, %.2f cpu-ms", f.Rate, f.CPU*1e3) }

// loop measures a command of n operations, n so large that it takes about as long as it should; each counts for so many units.
func loop(key string, order func(p *pair, n int) command, first int, units float64) func(*pair, options) (figure, error) {
	return func(p *pair, o options) (figure, error) {
		n := p.sized[key]
		if n == 0 {
			a, err := p.client.do(order(p, first))
			if err != nil {
				return figure{}, err
			}
			n = max(first/4, int(float64(first)*o.each.Seconds()/max(a.Seconds, 1e-3)))
			p.sized[key] = n
		}
		return p.measure(float64(n)*units, func() (answer, error) { return p.client.do(order(p, n)) })
	}
}

// measure is how long and how much processor time an action takes, for each of its operations.
func (p *pair) measure(operations float64, action func() (answer, error)) (figure, error) {
	before, err := p.cpu()
	if err != nil {
		return figure{}, err
	}
	a, err := action()
	if err != nil {
		return figure{}, err
	}
	after, err := p.cpu()
	return figure{Rate: operations / a.Seconds, CPU: (after - before).Seconds() / operations, P50: a.P50, P99: a.P99}, err
}

func (p *pair) cpu() (time.Duration, error) {
	server, err := p.server.cpu()
	client, err2 := p.client.cpu()
	return server + client, errors.Join(err, err2)
}

// messageTask sends messages of a size until all have arrived.
func messageTask(name string, size int, goals []goal) task {
	deliver := func(p *pair, n int) (answer, error) {
		began := time.Now()
		if err := p.server.begin(command{Cmd: "expect", N: n}); err != nil {
			return answer{}, err
		}
		if _, err := p.client.do(command{Cmd: "messages", To: p.server.at, N: n, Size: size}); err != nil {
			return answer{}, err
		}
		_, err := p.server.wait()
		return answer{Seconds: time.Since(began).Seconds()}, err
	}
	return task{
		name: name, unit: "message", not: []string{"stock host"}, goals: goals,
		text: func(f figure) string { return fmt.Sprintf("%.0f/s, %.2f cpu-µs", f.Rate, f.CPU*1e6) },
		run: func(p *pair, o options) (figure, error) {
			n := p.sized[name]
			if n == 0 {
				first := max(200, min(20_000, 64*mib/size))
				a, err := deliver(p, first)
				if err != nil {
					return figure{}, err
				}
				n = int(float64(first) * o.each.Seconds() / a.Seconds)
				p.sized[name] = n
			}
			return p.measure(float64(n), func() (answer, error) { return deliver(p, n) })
		},
	}
}

// far is the round trip of what is measured through a relay.
const far = 50 * time.Millisecond

// afar gives a fresh client a server by way of a relay.
func (p *pair) afar(use func(client *process, to string) error) error {
	r, via, err := startRelay(p.server.at, far)
	if err != nil {
		return err
	}
	defer r.close()
	client, err := startProcess("client", p.client.name, p.rust)
	if err != nil {
		return err
	}
	defer client.stop()
	return use(client, via)
}

// bulkFar is the second of two transfers over one connection: windows have grown.
func bulkFar(p *pair, o options) (f figure, err error) {
	size := 64
	if o.quick {
		size = 1
	}
	err = p.afar(func(client *process, to string) error {
		for range 2 {
			a, err := client.do(command{Cmd: "bulk", To: to, N: size * mib})
			if err != nil {
				return err
			}
			f.Rate = float64(size) / a.Seconds
		}
		return nil
	})
	return f, err
}

// firstEcho is how many round trips pass from the dial to a first byte that came back. TCP's own are the relay's and take no time.
func firstEcho(p *pair, _ options) (f figure, err error) {
	err = p.afar(func(client *process, to string) error {
		a, err := client.do(command{Cmd: "first", To: to})
		f.Value = a.Seconds / far.Seconds()
		return err
	})
	return f, err
}

// idle is what a connection costs who accepted it, with a stream open. The dialers of Rust are ours: a process of Rust has one
// identity.
func idle(p *pair, o options) (figure, error) {
	warm, count, rest := 20, 200, 3*time.Second
	if o.quick {
		warm, count, rest = 2, 5, 0
	}
	server, err := startProcess("serve", p.server.name, p.rust)
	if err != nil {
		return figure{}, err
	}
	defer server.stop()
	dialer := p.client.name
	if dialer == rustName {
		dialer = "ours"
	}
	client, err := startProcess("client", dialer, p.rust)
	if err != nil {
		return figure{}, err
	}
	defer client.stop()
	if _, err := client.do(command{Cmd: "idle", To: server.at, N: warm}); err != nil {
		return figure{}, err
	}
	before, err := server.settled(rest)
	if err != nil {
		return figure{}, err
	}
	if _, err := client.do(command{Cmd: "idle", To: server.at, N: count}); err != nil {
		return figure{}, err
	}
	after, err := server.settled(rest)
	return figure{Value: float64(after-before) / float64(count)}, err
}

// settled is the memory once it has come to rest.
func (p *process) settled(rest time.Duration) (int, error) {
	time.Sleep(rest)
	return p.resident()
}
