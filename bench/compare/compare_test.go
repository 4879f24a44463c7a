package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test's own program is the child.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "child" {
		if err := child(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// TestRun: each task has a figure for each stack that it takes, and a row. What the figures are is not tested, nor are ratios.
func TestRun(t *testing.T) {
	r, err := run(options{rounds: 1, each: 10 * time.Millisecond, quick: true})
	if err != nil {
		t.Fatal(err)
	}
	for key, why := range r.Failed {
		t.Errorf("%s: %s", key, why)
	}
	if len(r.Tasks) != len(tasks) {
		t.Fatalf("%d tasks of %d", len(r.Tasks), len(tasks))
	}
	for _, m := range r.Tasks {
		for _, pair := range []string{"tcp", "tcp+aead", "ours", "stock", "stock host"} {
			figures := m.Pairs[pair]
			if (len(figures) == 1) != m.task.takes(pair) {
				t.Errorf("%s, %s: %d figures", m.Task, pair, len(figures))
			}
		}
		if row := "| " + m.Task + " |"; !strings.Contains(r.table(), row) {
			t.Errorf("no %s in the table", row)
		}
	}
}

func TestVerdicts(t *testing.T) {
	m := &measured{
		Pairs: map[string][]figure{"ours": {{CPU: 1, Rate: 10}, {CPU: 3, Rate: 30}}, "stock": {{CPU: 2, Rate: 10}, {CPU: 4, Rate: 10}}},
		task: &task{goals: []goal{
			{against: "stock", what: cpu, atMost: 0.7, text: "a"},
			{against: "stock", what: cpu, atMost: 0.6, text: "b"},
			{against: "stock", what: rate, clock: true, atLeast: 2, text: "c"},
			{against: "rust", what: cpu, atMost: 1, text: "d"},
			{what: cpu, atMost: 2.2, text: "e"},
		}},
	}
	got := strings.Join(m.verdicts(0), "; ")
	if want := "stock a: 0.62; stock b: **0.62, not met**; stock c: 2.00; ours e: 2.00"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := strings.Join(m.verdicts(3), "; "); !strings.Contains(got, "stock c: 2.00, not judged under load") {
		t.Error(got)
	}
}
