package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

// explained is what explain says of one thing.
type explained struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"` // the chapter of docs/errors.md
	Meaning  string `json:"meaning"`
	Cause    string `json:"cause"`
	Next     string `json:"next"`
	ExitCode *int   `json:"exit_code"` // of a command that ends so; null: none does
}

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [WORD|TEXT]",
		Short: "Explain an error, a stage, a reason: what it means, its likely cause, what to do",
		Long: "Explain what a command failed with: a word of its output, such as refused, noise or inbound_cap, the name of an\n" +
			"error in Go, such as noise.ErrNoAnswer, or the text of the error, in quotes. Without one, list the words.",
		Example: "  tari-libp2p explain refused\n  tari-libp2p explain 'noise: closed before Noise answered: other network or dialect, or refused'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{""}
			}
			all := explanations(args[0])
			if len(all) == 0 {
				return &node.Failure{Kind: node.FailNotFound, Text: "nothing is known of " + quote(args[0]) + "; \"tari-libp2p explain\" lists the words"}
			}
			answer := struct {
				Explained []explained `json:"explained"`
			}{all}
			return a.show(answer, func() {
				for _, e := range all {
					a.printExplained(e, args[0] == "")
				}
			})
		},
	}
}

// explanations are what text names: by a name, or by an error whose text is in it. The empty text names everything.
func explanations(text string) (all []explained) {
	plain := strings.NewReplacer("`", "")
	for _, c := range catalogue() {
		for _, t := range c.troubles {
			if text == "" || strings.EqualFold(t.name, text) || strings.EqualFold(t.also, text) || t.err != nil && strings.Contains(text, t.err.Error()) {
				all = append(all, explained{t.name, c.title, plain.Replace(t.meaning), plain.Replace(t.cause), plain.Replace(t.next), t.code()})
			}
		}
	}
	return all
}

func (a *app) printExplained(e explained, short bool) {
	if short {
		a.out.printf("%-28s %s\n", e.Name, e.Kind)
		return
	}
	a.out.printf("%s (%s)\n    means      %s\n    cause      %s\n    what next  %s\n", e.Name, strings.ToLower(e.Kind), e.Meaning, e.Cause, e.Next)
	if e.ExitCode != nil {
		a.out.printf("    exit code  %d\n", *e.ExitCode)
	}
}
