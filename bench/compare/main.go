// Command compare measures this library against stock go-libp2p, the Rust crate tari_comms 6.3, and what the kernel and one cipher
// cost at least: child processes, all in turn in one run, so that a ratio holds on a machine that is busy with other things.
//
//	go run . [-rust PROGRAM] [-seed PROGRAM] [-rounds 3] [-json FILE] [-only bulk]
//
// make bench-compare builds the Rust program and runs it. It is not run with the tests: they only see that it works.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "child" {
		if err := child(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.rust, "rust", "", "the Rust child; without it there are no ratios against Rust")
	flag.StringVar(&o.seed, "seed", "", "the Rust peer of 2020 that scripts/rust-seed.sh builds; without it it has no row")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each is measured; medians are shown")
	flag.DurationVar(&o.each, "each", time.Second, "how long a measurement takes, about")
	flag.StringVar(&o.only, "only", "", "only tasks whose name matches this regular expression")
	flag.StringVar(&o.pairs, "pairs", "", "only these pairs, such as ours,stock")
	file := flag.String("json", "", "append the run to this file, one line of JSON")
	flag.Parse()
	report, err := run(o)
	if err == nil {
		fmt.Print(report.table())
		if *file != "" {
			err = report.append(*file)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

type options struct {
	rust   string
	seed   string
	rounds int
	each   time.Duration
	only   string
	pairs  string
	quick  bool // a look whether it works, with a few connections and little memory
}

// report is a run.
type report struct {
	Time    time.Time         `json:"time"`
	Machine string            `json:"machine"`
	Load    float64           `json:"load"` // the average of the minute before the run, which itself makes load
	Rounds  int               `json:"rounds"`
	Tasks   []*measured       `json:"tasks"`
	Failed  map[string]string `json:"failed,omitempty"` // task and pair, and why there is no figure
}

// measured is a task with its figures by pair.
type measured struct {
	Task  string              `json:"task"`
	Pairs map[string][]figure `json:"pairs"` // a round each
	task  *task
}

// figure is one measurement. What a task does not measure is zero.
type figure struct {
	Rate  float64 `json:"rate,omitempty"` // operations a second
	CPU   float64 `json:"cpu,omitempty"`  // seconds an operation, both processes
	P50   float64 `json:"p50,omitempty"`  // seconds
	P99   float64 `json:"p99,omitempty"`
	Value float64 `json:"value,omitempty"` // bytes or round trips
}

func run(o options) (*report, error) {
	r := &report{Time: time.Now().UTC().Truncate(time.Second), Machine: machine(), Load: load(), Rounds: o.rounds, Failed: map[string]string{}}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return nil, err
	}
	pairs, err := startPairs(o)
	defer func() {
		for _, p := range pairs {
			p.stop()
		}
	}()
	if err != nil {
		return nil, err
	}
	for i := range tasks {
		t := &tasks[i]
		if !only.MatchString(t.name) {
			continue
		}
		m := &measured{Task: t.name, Pairs: map[string][]figure{}, task: t}
		r.Tasks = append(r.Tasks, m)
		for round := range o.rounds {
			for _, p := range pairs {
				if !t.takes(p.name) || r.Failed[t.name+", "+p.name] != "" {
					continue
				}
				f, err := t.run(p, o)
				if err != nil {
					r.Failed[t.name+", "+p.name] = err.Error()
					fmt.Fprintf(os.Stderr, "%-14s %d %-12s %v\n", t.name, round+1, p.name, err)
					continue
				}
				m.Pairs[p.name] = append(m.Pairs[p.name], f)
				fmt.Fprintf(os.Stderr, "%-14s %d %-12s %s\n", t.name, round+1, p.name, t.text(f))
			}
		}
	}
	return r, nil
}

// load is the load average of the last minute.
func load() (l float64) {
	text, _ := os.ReadFile("/proc/loadavg")
	_, _ = fmt.Sscan(string(text), &l)
	return l
}

func machine() string {
	name := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			name = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%d × %s, %s/%s, %s", runtime.NumCPU(), name, runtime.GOOS, runtime.GOARCH, runtime.Version())
}

func (r *report) append(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(f).Encode(r); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
