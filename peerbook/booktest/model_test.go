package booktest

import (
	"errors"
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What a child says, what the next one finds, and how much of it is a loss.
func TestFollow(t *testing.T) {
	for name, c := range map[string]struct {
		before, after string
		lost          int
		acknowledged  int
	}{
		"nothing said":           {"", "", 0, 0},
		"kept":                   {"try add 1 0\ndone add 1 0\n", "found 1 true 0 false 0\n", 0, 1},
		"lost":                   {"try add 1 0\ndone add 1 0\n", "", 1, 1},
		"a ban lost":             {"try ban 1 0\ndone ban 1 0\n", "found 1 false 0 false 0\n", 1, 1},
		"an unban lost":          {"try ban 1 0\ndone ban 1 0\ntry unban 1 0\ndone unban 1 0\n", "found 1 false 0 true 0\n", 1, 2},
		"an older claim":         {"try claim 1 7\ndone claim 1 7\ntry claim 1 8\ndone claim 1 8\n", "found 1 true 7 false 0\n", 1, 2},
		"removed, and come back": {"try add 1 0\ndone add 1 0\ntry remove 1 0\ndone remove 1 0\n", "found 1 true 0 false 0\n", 1, 2},
		"under way, and made":    {"try add 1 0\n", "found 1 true 0 false 0\n", 0, 0},
		"under way, not made":    {"try claim 1 5\ndone claim 1 5\ntry ban 1 0\n", "found 1 true 5 false 0\n", 0, 1},
		"under way, and neither": {"try claim 1 5\ndone claim 1 5\ntry ban 1 0\n", "found 1 false 0 true 0\n", 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			expected, report := newModel(), Report{}
			kills := 0
			kill := func() error { kills++; return nil }
			halves := 0
			half := func() error { halves++; return nil }
			for _, said := range []string{"ready\n" + c.before, c.after + "ready\n"} {
				if err := follow(strings.NewReader(said), 0, half, kill, expected, &report); err != nil {
					t.Fatal(err)
				}
			}
			if len(report.Lost) != c.lost || report.Acknowledged != c.acknowledged || kills != 2 || halves != 2 {
				t.Errorf("%+v, %d kills, %d halves", report, kills, halves)
			}
		})
	}
}

func TestFollowFails(t *testing.T) {
	nothing := func() error { return nil }
	for _, said := range []string{"", "PASS\n", "nonsense\n", "found x\n", "ready\ntry sing 1 0\n", "found 1 true 0 false 0\n"} {
		if err := follow(strings.NewReader(said), 1, nothing, nothing, newModel(), new(Report)); err == nil {
			t.Errorf("a child that says %q is no mistake", said)
		}
	}
	broken := errors.New("no such process")
	if err := follow(strings.NewReader("ready\n"), 0, nothing, func() error { return broken }, newModel(), new(Report)); !errors.Is(err, broken) {
		t.Error(err)
	}
	if err := follow(strings.NewReader("ready\n"), 0, func() error { return broken }, nothing, newModel(), new(Report)); !errors.Is(err, broken) {
		t.Error(err)
	}
	report := Report{}
	if err := follow(io.MultiReader(strings.NewReader("corrupt\nerror disk full\n")), 1, nothing, nothing, newModel(), &report); err != nil || len(report.Unreadable) != 1 || report.Corrupt != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}
