package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/internal/private"
)

func (a *app) configCommand() *cobra.Command {
	config := &cobra.Command{
		Use:   "config",
		Short: "The configuration file and the environment",
		Long: "The configuration file and the environment. Each option has a key in the file, its name without the dashes, and a\n" +
			"variable, such as TARI_LIBP2P_MAX_INBOUND. The command line goes before the environment, the environment before the\n" +
			"file. The file is read by each command that has --network.",
		Args: cobra.NoArgs,
		RunE: needsSubcommand,
	}
	config.AddCommand(a.configInitCommand(), a.configCheckCommand(), a.configShowCommand())
	return config
}

// option is an option as a configuration file has it.
type option struct {
	Key      string   `json:"key"`
	Variable string   `json:"variable"`
	Kind     kind     `json:"kind"`
	Default  any      `json:"default"`
	Help     string   `json:"help"`
	Commands []string `json:"commands"`

	example any      // a value to begin with: the default, if that is one
	others  []string // what it is of commands where it is something else
}

// ofRun says whether run has the option.
func (o *option) ofRun() bool { return o.Commands[0] == "all" || slices.Contains(o.Commands, "run") }

// fileOptions are all options that have a key, those of run first.
func fileOptions() []option {
	known := knownOptions()
	var ofRun, ofOthers []option
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if name == configOption {
			continue
		}
		o := describe(name, known[name])
		if o.ofRun() {
			ofRun = append(ofRun, o)
		} else {
			ofOthers = append(ofOthers, o)
		}
	}
	return append(ofRun, ofOthers...)
}

// typical is the option as run has it, or else as most commands do.
func typical(uses []use) *pflag.Flag {
	commands := map[string]int{}
	best := uses[0].flag
	for _, u := range uses {
		if u.command == "run" {
			return u.flag
		}
		if commands[u.flag.DefValue]++; commands[u.flag.DefValue] > commands[best.DefValue] {
			best = u.flag
		}
	}
	return best
}

// describe tells of an option as its typical command has it.
func describe(name string, uses []use) option {
	flag := typical(uses)
	_, help := pflag.UnquoteUsage(flag)
	o := option{Key: name, Variable: variable(name), Kind: kindOf(flag), Default: valueNow(flag), Help: help}
	for _, u := range uses {
		o.Commands = append(o.Commands, u.command)
		o.others = append(o.others, otherwise(o, u)...)
	}
	o.example = o.Default
	if example := exampleOf(name); example != nil {
		o.example = example
	}
	return o
}

// otherwise says what an option is of a command for which it has another meaning or default.
func otherwise(o option, u use) []string {
	_, help := pflag.UnquoteUsage(u.flag)
	here := literal(valueNow(u.flag))
	switch {
	case here != literal(o.Default):
		return []string{fmt.Sprintf("of %s: %s; default: %s", u.command, help, here)}
	case help != o.Help:
		return []string{fmt.Sprintf("of %s: %s", u.command, help)}
	}
	return nil
}

// exampleOf is a value to begin with for an option whose default is not a value that all of its commands take.
func exampleOf(name string) any {
	switch name {
	case "listen": // none would be nowhere
		port := dialect.Mainnet.Port
		return []string{fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", port), fmt.Sprintf("/ip6/::/tcp/%d", port)}
	case "after":
		return "0:" + strings.Repeat("0", 64)
	case "count", "limit":
		return int64(1)
	}
	return nil
}

func (a *app) configInitCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a configuration file with every key, its meaning and its default",
		Long: "Write a configuration file with every key, its meaning and its default, each commented out, to standard output or to\n" +
			"FILE, which only this user can read. A file that is there already is not overwritten but with --force.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			options := fileOptions()
			if len(args) == 1 && args[0] != "-" {
				return a.writeConfig(args[0], configText(options), force)
			}
			list := struct {
				Options []option `json:"options"`
			}{options}
			return a.show(list, func() { a.out.printf("%s", configText(options)) })
		},
	}
	c.Flags().BoolVar(&force, "force", false, "overwrite a file that is there")
	return c
}

// configText is the file that init writes: each line that begins with "#" and a key can be made to count.
func configText(options []option) string {
	var b strings.Builder
	b.WriteString("# The configuration of tari-libp2p. A key is the name of an option without its dashes. To set one, take away the # before it.\n" +
		"# The command line, and then the variable that is named with each key, go before this file. No secret belongs here.\n" +
		"# \"tari-libp2p config check\" finds what is wrong in it, \"tari-libp2p config show\" says what holds.\n\n" +
		"# Options of run, many of other commands too.\n")
	others := false
	for _, o := range options {
		if !others && !o.ofRun() {
			others = true
			b.WriteString("\n# Options that run does not have. They hold for each command that has them.\n")
		}
		fmt.Fprintf(&b, "\n# %s: %s\n", o.Key, o.Help)
		for _, other := range o.others {
			fmt.Fprintf(&b, "# %s\n", other)
		}
		fmt.Fprintf(&b, "# %s; %s\n", o.Variable, commandsText(o.Commands))
		if literal(o.example) != literal(o.Default) {
			b.WriteString("# The value here is an example.\n")
		}
		fmt.Fprintf(&b, "#%s = %s\n", o.Key, literal(o.example))
	}
	return b.String()
}

func commandsText(commands []string) string {
	const most = 8
	if len(commands) > most {
		return fmt.Sprintf("%s and %d more commands", strings.Join(commands[:most-1], ", "), len(commands)-most+1)
	}
	return strings.Join(commands, ", ")
}

func (a *app) writeConfig(name, text string, force bool) error {
	if name == defaultConfigName() {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return notWritten(name, err)
		}
	}
	write := private.Create
	if force {
		write = private.Replace
	}
	if err := write(name, []byte(text)); err != nil {
		return notWritten(name, err)
	}
	return a.show(exportedTo{name}, func() { a.out.printf("written to %s\n", name) })
}
