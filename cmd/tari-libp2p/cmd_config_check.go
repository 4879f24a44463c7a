package main

import (
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// configChecked is what config check prints.
type configChecked struct {
	OK     bool    `json:"ok"`
	File   string  `json:"file"` // empty: there is none
	Keys   int     `json:"keys"`
	Faults []fault `json:"faults"`
}

func (a *app) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Find all that is wrong in a configuration file",
		Long: "Find all that is wrong in a configuration file: in FILE, in what TARI_LIBP2P_CONFIG names, or in the one that is read by\n" +
			"default. It checks each value, and that \"run\" takes them together; it asks nobody. Exit code 2 means that something is wrong.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := a.fileToCheck(cmd, args)
			if err != nil {
				return err
			}
			known := knownOptions()
			checked := configChecked{File: file.name, Keys: len(file.settings), Faults: checkConfig(file, known)}
			checked.OK = len(checked.Faults) == 0
			a.warnOfVariables(known)
			if checked.OK {
				return a.show(checked, func() { a.printConfigChecked(checked) })
			}
			return a.showFailed(checked, usagef("%s in %s", count(len(checked.Faults), "fault"), quote(file.name)), func() { a.printConfigChecked(checked) })
		},
	}
}

func (a *app) fileToCheck(cmd *cobra.Command, args []string) (configFile, error) {
	if len(args) == 1 {
		return readConfig(args[0])
	}
	return a.openConfig(cmd)
}

func (a *app) printConfigChecked(c configChecked) {
	for _, f := range c.Faults {
		a.out.printf("%s\n", strings.ReplaceAll(f.text(c.File), "\n", "; "))
	}
	switch {
	case c.File == "":
		a.out.printf("no configuration file is read: there is none at %s\n", none(defaultConfigName()))
	case c.OK:
		a.out.printf("%s: %s, nothing wrong\n", c.File, count(c.Keys, "key"))
	}
}

// checkConfig finds all faults of a file, in the order of their lines, or else what is wrong with it as a whole.
func checkConfig(file configFile, known map[string][]use) []fault {
	faults := append([]fault{}, file.faults...)
	faults = append(faults, unknownKeys(file.settings, known)...)
	for _, s := range file.settings {
		faults = append(faults, badValues(s, known[s.key])...)
	}
	sortFaults(faults)
	if len(faults) > 0 {
		return faults // what they are together does not matter
	}
	if err := takenTogether(file); err != nil {
		faults = append(faults, fault{Error: failureOf(err).Text, Cure: "\"tari-libp2p run\" would say the same"})
	}
	return faults
}

// badValues tries the value on each command that has the option. What several say is said once.
func badValues(s setting, uses []use) (faults []fault) {
	for _, u := range uses {
		if u.flag.Name == configOption {
			continue // it has no key, which was said
		}
		if err := setValue(u.flag, s.value); err != nil {
			f := badValue(s, u.flag, err)
			if !slices.ContainsFunc(faults, func(g fault) bool { return g.Error == f.Error }) {
				faults = append(faults, f)
			}
		}
	}
	return faults
}

// takenTogether says whether run takes the options of a file beside each other.
func takenTogether(file configFile) error {
	a := discarding()
	run := &cobra.Command{}
	var start runSeeds
	a.options.nodeFlags(run)
	start.flags(run)
	noVariables := func(string) string { return "" }
	if err := a.apply(run, file, noVariables); err != nil {
		return err
	}
	cfg, err := a.options.nodeConfig(run)
	if err == nil {
		_, err = start.lookup(&cfg, slog.New(slog.DiscardHandler))
	}
	return err
}

// shownOption is a line of config show.
type shownOption struct {
	Key      string `json:"key"`
	Variable string `json:"variable"`
	Value    any    `json:"value"`
	Source   string `json:"source"` // default, environment or file
	Line     int    `json:"line,omitempty"`
}

// configShown is what config show prints.
type configShown struct {
	Command string        `json:"command"`
	File    string        `json:"file"`
	Options []shownOption `json:"options"`
}

func (a *app) configShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show [COMMAND…]",
		Short: "Show the options that a command would have, and where each comes from",
		Long: "Show the options that a command would have if it were started without any, and where each comes from: the environment,\n" +
			"a line of the configuration file, or the default. Without COMMAND, those of \"run\". No option holds a secret.",
		Example: "  tari-libp2p config show\n  tari-libp2p config show peers list",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"run"}
			}
			shown, err := a.effective(cmd, args)
			if err != nil {
				return err
			}
			return a.show(shown, func() { a.printConfigShown(shown) })
		},
	}
	a.configFlag(c)
	return c
}

// effective are the options that another command would have.
func (a *app) effective(cmd *cobra.Command, args []string) (shown configShown, err error) {
	other := discarding()
	root := other.rootCommand()
	found, rest, err := root.Find(args)
	if err != nil || len(rest) > 0 || found.HasSubCommands() {
		return shown, usagef("%s is no command that has options", quote(strings.Join(args, " ")))
	}
	if err := found.ParseFlags(nil); err != nil { // adds those of all commands
		return shown, err
	}
	var file configFile
	if readsConfig(found) {
		if file, err = a.openConfig(cmd); err != nil {
			return shown, err
		}
	}
	if err := other.apply(found, file, os.Getenv); err != nil {
		return shown, err
	}
	shown = configShown{Command: nameOf(found), File: file.name, Options: []shownOption{}}
	found.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Name == configOption {
			return
		}
		o := shownOption{Key: f.Name, Variable: variable(f.Name), Value: valueNow(f), Source: "default"}
		if from, ok := other.layers.from[f.Name]; ok {
			if o.Source = "environment"; from.variable == "" {
				o.Source, o.Line = "file", from.line
			}
		}
		shown.Options = append(shown.Options, o)
	})
	return shown, nil
}

func (a *app) printConfigShown(c configShown) {
	a.out.printf("# %s; configuration file: %s\n", c.Command, none(c.File))
	for _, o := range c.Options {
		from := o.Source
		switch o.Source {
		case "environment":
			from = o.Variable
		case "file":
			from = source{file: c.File, line: o.Line}.String()
		}
		a.out.printf("%-48s # %s\n", o.Key+" = "+literal(o.Value), from)
	}
}
