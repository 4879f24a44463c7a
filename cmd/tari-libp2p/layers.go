package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Options come in layers: the command line, then the environment, then the configuration file, then the default.

// variablePrefix begins the name of each environment variable that stands for an option.
const variablePrefix = "TARI_LIBP2P_"

// variable is the environment variable of an option: TARI_LIBP2P_MAX_INBOUND of max-inbound.
func variable(option string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

// configOption names the configuration file; it has a variable, but no key.
const configOption = "config"

// layers are what the options of a command come from besides its command line.
type layers struct {
	config string            // --config
	from   map[string]source // by option
}

// source is where the value of an option stands.
type source struct {
	variable string // or
	file     string
	line     int
}

func (s source) String() string {
	if s.variable != "" {
		return s.variable
	}
	return s.file + ":" + strconv.Itoa(s.line)
}

// readsConfig says whether a command has options of a node, which the configuration file is for.
func readsConfig(cmd *cobra.Command) bool { return cmd.Flags().Lookup("network") != nil }

// configFlags gives the commands that read the configuration file the option that names it.
func (a *app) configFlags(cmd *cobra.Command) {
	if readsConfig(cmd) {
		a.configFlag(cmd)
	}
	for _, sub := range cmd.Commands() {
		a.configFlags(sub)
	}
}

func (a *app) configFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.layers.config, configOption, "", "configuration `file` (default: tari-libp2p/config.toml in $XDG_CONFIG_HOME or ~/.config, if it is there; \"\" = none)")
}

// layer gives the options that the command line leaves open their values from the environment and the file. Keys of the file that only
// other commands know do not matter here.
func (a *app) layer(cmd *cobra.Command) error {
	if cmd.Flags().Lookup(configOption) == nil {
		return a.apply(cmd, configFile{}, os.Getenv)
	}
	file, err := a.openConfig(cmd)
	if err != nil {
		return err
	}
	known := knownOptions()
	if faults := append(file.faults, unknownKeys(file.settings, known)...); len(faults) > 0 {
		sortFaults(faults)
		return faulty(file.name, faults)
	}
	a.warnOfVariables(known)
	return a.apply(cmd, file, os.Getenv)
}

// openConfig reads the file that --config or its variable names, or else the one at the usual place.
func (a *app) openConfig(cmd *cobra.Command) (configFile, error) {
	if cmd.Flags().Changed(configOption) {
		return readConfig(a.layers.config)
	}
	if name := os.Getenv(variable(configOption)); name != "" {
		return readConfig(name)
	}
	return readDefaultConfig()
}

// apply is layer with a file that was read and an environment.
func (a *app) apply(cmd *cobra.Command, file configFile, getenv func(string) string) error {
	a.layers.from = map[string]source{}
	settings := map[string]setting{}
	for _, s := range file.settings {
		settings[s.key] = s
	}
	var wrong []error
	var faults []fault
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" {
			return
		}
		if text := getenv(variable(f.Name)); text != "" { // an empty one is as none
			if err := setText(f, text); err != nil {
				wrong = append(wrong, fmt.Errorf("%s=%s: %w", variable(f.Name), preview([]byte(text)), err))
				return
			}
			f.Changed = true
			a.layers.from[f.Name] = source{variable: variable(f.Name)}
			return
		}
		if s, ok := settings[f.Name]; ok {
			if err := setValue(f, s.value); err != nil {
				faults = append(faults, badValue(s, f, err))
				return
			}
			f.Changed = true
			a.layers.from[f.Name] = source{file: file.name, line: s.line}
		}
	})
	if len(faults) > 0 {
		wrong = append(wrong, faulty(file.name, faults))
	}
	if len(wrong) > 0 {
		return usageError{errors.Join(wrong...)}
	}
	return nil
}

// layered says whether an option has its value from the environment or the file.
func (a *app) layered(option string) bool {
	_, ok := a.layers.from[option]
	return ok
}

// origins says of the options that an error names where their values stand, if it is not the command line.
func (a *app) origins(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	var out strings.Builder
	for _, option := range slices.Sorted(maps.Keys(a.layers.from)) {
		if slices.Contains(words, "--"+option) {
			fmt.Fprintf(&out, "; --%s is from %s", option, a.layers.from[option])
		}
	}
	return out.String()
}
