package main

import (
	"fmt"
	"slices"
	"strings"
)

// loadLimit is the load above which what the clock says is not judged.
const loadLimit = 2

// table is the run for people.
func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, load %.1f, medians of %d rounds\n\n", r.Time.Format("2006-01-02"), r.Machine, r.Load, r.Rounds)
	b.WriteString("| task | limit | ours | stock go-libp2p | Rust 6.3 | ours→Rust | Rust→ours | goals |\n|---|---|---|---|---|---|---|---|\n")
	for _, m := range r.Tasks {
		fmt.Fprintf(&b, "| %s |", m.Task)
		for _, pair := range []string{"tcp+aead", "ours", "stock", rustName, "ours→" + rustName, rustName + "→ours"} {
			fmt.Fprintf(&b, " %s |", m.cell(pair))
		}
		fmt.Fprintf(&b, " %s |\n", strings.Join(m.verdicts(r.Load), "; "))
	}
	for _, key := range slices.Sorted(func(yield func(string) bool) {
		for key := range r.Failed {
			if !yield(key) {
				return
			}
		}
	}) {
		fmt.Fprintf(&b, "\nno figure: %s: %s\n", key, r.Failed[key])
	}
	return b.String()
}

// cell is a pair's medians.
func (m *measured) cell(pair string) string {
	all := m.Pairs[pair]
	if len(all) == 0 {
		return "–"
	}
	return m.task.text(figure{
		Rate: median(all, rate), CPU: median(all, cpu), P50: median(all, p50), Value: median(all, value),
		P99: median(all, func(f figure) float64 { return f.P99 }),
	})
}

func median[T any](all []T, of func(T) float64) float64 {
	var v []float64
	for _, f := range all {
		v = append(v, of(f))
	}
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}

// verdicts are the goals and whether they are met.
func (m *measured) verdicts(load float64) (out []string) {
	for _, g := range m.task.goals {
		got, ok := m.ratio(g)
		name := g.against
		if name == "" {
			name = "ours"
		}
		switch {
		case !ok:
			continue
		case g.clock && load > loadLimit:
			out = append(out, fmt.Sprintf("%s %s: %.2f, not judged under load", name, g.text, got))
		case g.atMost > 0 && got <= g.atMost, g.atLeast > 0 && got >= g.atLeast:
			out = append(out, fmt.Sprintf("%s %s: %.2f", name, g.text, got))
		default:
			out = append(out, fmt.Sprintf("%s %s: **%.2f, not met**", name, g.text, got))
		}
	}
	return out
}

// ratio is the median of ours to the other of the same round, or of ours if there is no other.
func (m *measured) ratio(g goal) (float64, bool) {
	ours, other := m.Pairs["ours"], m.Pairs[g.against]
	if g.against == "" {
		return median(ours, g.what), len(ours) > 0
	}
	n := min(len(ours), len(other))
	var ratios []float64
	for i := range n {
		if v := g.what(other[i]); v > 0 {
			ratios = append(ratios, g.what(ours[i])/v)
		}
	}
	return median(ratios, func(f float64) float64 { return f }), len(ratios) > 0
}
