package main

import (
	"cmp"
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
		if got, ok := m.ratio("ours", g.against, g.what); ok {
			out = append(out, cmp.Or(g.against, "ours")+" "+g.verdict(got, load))
		}
	}
	for _, pair := range []string{"ours→" + rustName, rustName + "→ours"} {
		if got, ok := m.mixed(pair); ok {
			out = append(out, pair+" "+goal{clock: true, atLeast: 0.95, text: "≥ 0.95×"}.verdict(got, load))
		}
	}
	return out
}

// verdict says what was reached of a goal.
func (g goal) verdict(got, load float64) string {
	switch {
	case g.clock && load > loadLimit:
		return fmt.Sprintf("%s: %.2f, not judged under load", g.text, got)
	case g.atMost > 0 && got <= g.atMost, g.atLeast > 0 && got >= g.atLeast:
		return fmt.Sprintf("%s: %.2f", g.text, got)
	}
	return fmt.Sprintf("%s: **%.2f, not met**", g.text, got)
}

// mixed is how well a connection of both does beside one of Rust alone: the ratio of rates, or of times the other way round.
func (m *measured) mixed(pair string) (float64, bool) {
	for _, time := range []func(figure) float64{p50, value} {
		if got, ok := m.ratio(pair, rustName, time); ok && got > 0 {
			return 1 / got, true
		}
	}
	return m.ratio(pair, rustName, rate)
}

// ratio is the median of one pair's figure to the other's of the same round, or of the one alone if the other has no name.
func (m *measured) ratio(one, against string, what func(figure) float64) (float64, bool) {
	ours, other := m.Pairs[one], m.Pairs[against]
	if against == "" {
		return median(ours, what), len(ours) > 0
	}
	n := min(len(ours), len(other))
	var ratios []float64
	for i := range n {
		if v := what(other[i]); v > 0 {
			ratios = append(ratios, what(ours[i])/v)
		}
	}
	return median(ratios, func(f float64) float64 { return f }), len(ratios) > 0
}
