package main

import (
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// use is an option of one command.
type use struct {
	command string // without the program's name
	flag    *pflag.Flag
}

// knownOptions are all options of all commands, in a tree of commands that is used for nothing else.
func knownOptions() map[string][]use {
	known := map[string][]use{}
	root := discarding().rootCommand()
	add := func(command string) func(*pflag.Flag) {
		return func(f *pflag.Flag) {
			if f.Name != "help" {
				known[f.Name] = append(known[f.Name], use{command, f})
			}
		}
	}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.LocalNonPersistentFlags().VisitAll(add(nameOf(c)))
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	root.PersistentFlags().VisitAll(add("all"))
	return known
}

// discarding is an app of which only the tree of commands is looked at.
func discarding() *app {
	return newApp(strings.NewReader(""), io.Discard, io.Discard)
}

// nameOf is the name of a command without the program's.
func nameOf(c *cobra.Command) string {
	return strings.TrimPrefix(strings.TrimPrefix(c.CommandPath(), c.Root().Name()), " ")
}

// unknownKeys are the faults of keys that no command has an option for. Their values are not shown: they could be a secret.
func unknownKeys(settings []setting, known map[string][]use) (faults []fault) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(known)), func(name string) bool { return name == configOption })
	for _, s := range settings {
		if slices.Contains(names, s.key) {
			continue
		}
		f := fault{Line: s.line, Key: printable(s.key), Error: "no option has this name", Cure: "\"tari-libp2p config init\" shows all"}
		if name := nearest(s.key, names, (len(s.key)+1)/3); name != "" {
			f.Cure = "did you mean " + name + "?"
		}
		faults = append(faults, f)
	}
	return faults
}

// warnOfVariables says on standard error which variables look like those of an option and are none. Others with our prefix are not ours:
// Kubernetes makes TARI_LIBP2P_PORT for a service that is called so.
func (a *app) warnOfVariables(known map[string][]use) {
	names := map[string]string{}
	for option := range known {
		names[variable(option)[len(variablePrefix):]] = option
	}
	sorted := slices.Sorted(maps.Keys(names))
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		word, ours := strings.CutPrefix(name, variablePrefix)
		if _, known := names[word]; !ours || known {
			continue
		}
		if near := nearest(word, sorted, len(word)/5); near != "" { // not LOG for LONG
			a.err.printf("tari-libp2p: the variable %s is of no option; did you mean %s%s?\n", printable(name), variablePrefix, near)
		}
	}
}

// nearest is the name that a word was probably meant to be: at most so many letters are wrong. Empty if there is none.
func nearest(word string, names []string, wrong int) string {
	best, least := "", wrong+1
	for _, name := range names {
		if d := distance(word, name, least); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance counts the letters to change, insert or leave out to make a of b; limit means so many or more.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}
