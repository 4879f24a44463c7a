// Package reference writes down what a command's own help says: as Markdown, and as man pages.
//
// cobra has a package for it, which makes man pages of Markdown: it takes an asterisk in a sentence for emphasis and loses it, and
// mandoc finds fault with every option.
package reference

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Book is what there is to write down.
type Book struct {
	Root    *cobra.Command
	Version string    // of the program, for the foot of man pages
	Date    time.Time // for the same place: not of today, or no two are alike
	Exit    []Exit
}

// Exit is one of the codes that the command ends with.
type Exit struct {
	Code    int
	Meaning string // Markdown
}

// commands are root and those below it, in the order of their names; no hidden ones.
func commands(root *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{root}
	for _, sub := range subcommands(root) {
		all = append(all, commands(sub)...)
	}
	return all
}

func subcommands(c *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(c.Commands()), func(sub *cobra.Command) bool {
		return !sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand()
	})
}

// option is a flag, as help shows it.
type option struct {
	name    string // with dashes, the short one first
	value   string // what it takes; "" for nothing
	usage   string
	initial string // the default; "" for none
}

// options are the flags in the order of their names, without --help.
func options(flags *pflag.FlagSet) (all []option) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		o := option{name: "--" + f.Name}
		if f.Shorthand != "" {
			o.name = "-" + f.Shorthand + ", " + o.name
		}
		o.value, o.usage = pflag.UnquoteUsage(f)
		if !slices.Contains([]string{"", "[]", "false", "0", "0s"}, f.DefValue) {
			o.initial = f.DefValue
		}
		all = append(all, o)
	})
	return all
}

// description is the long help of a command, or the short one.
func description(c *cobra.Command) string {
	if c.Long != "" {
		return strings.TrimSpace(c.Long)
	}
	return c.Short + "."
}

// isExample: an indented line of help is to be shown as it is.
func isExample(line string) bool {
	return strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "  ")
}
