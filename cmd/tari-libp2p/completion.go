package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tari-libp2p/tari-libp2p/node"
)

// What the shell offers while a command line is typed. Nobody may wait for it, or see an error of it.
const (
	maxOffered  = 100
	offerWithin = 500 * time.Millisecond
)

// offer is what cobra asks for the values of an argument or an option.
type offer = cobra.CompletionFunc

// completeAll gives all commands the completion of their arguments and options, by what their help calls these: a new command has it by
// itself. What has no known name completes to nothing.
func (a *app) completeAll(root *cobra.Command) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.ValidArgsFunction = a.offerArguments
		c.Flags().VisitAll(func(f *pflag.Flag) {
			usage, _ := pflag.UnquoteUsage(f)
			name, _ := argument(usage)
			if values := a.offerNamed(name); values != nil {
				_ = c.RegisterFlagCompletionFunc(f.Name, values) // fails for an option that has one already
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

// offerNamed offers what goes by a name in usage lines and in the help of options; nil: nothing does.
func (a *app) offerNamed(name string) offer {
	switch name {
	case "PEER":
		return a.offerPeers
	case "PUBKEY::ADDRESS":
		return a.offerAddresses
	case "WORD":
		return offerWords
	case "network":
		return cobra.FixedCompletions(networkNames(), cobra.ShellCompDirectiveNoFileComp)
	case "networks":
		return offerNetworks
	case "LEVEL":
		return offerLevels
	case "format":
		return cobra.FixedCompletions([]cobra.Completion{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)
	case "COMMAND":
		return offerCommands
	case "file", "FILE":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	case "folder":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	}
	return nil
}

// offerArguments offers what the usage line has at the place of the argument that is being typed.
func (a *app) offerArguments(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	words := strings.Fields(cmd.Use)[1:]
	for i, word := range words {
		names, repeated := argument(word)
		if i < len(args) && (i < len(words)-1 || !repeated) {
			continue
		}
		for name := range strings.SplitSeq(names, "|") {
			if values := a.offerNamed(name); values != nil {
				return values(cmd, args, typed)
			}
		}
		break
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// argument reads a word of a usage line: what may stand there, such as "FILE|-", and whether any number of them may. What may follow in
// the same word is left out: of PUBKEY::ADDRESS[::ADDRESS…] the second address.
func argument(word string) (names string, repeated bool) {
	if i := strings.LastIndex(word, "["); i > 0 {
		word = word[:i]
	}
	return strings.CutSuffix(strings.Trim(word, "[]"), "…")
}

// offerCommands offers the commands that may follow on those in args.
func offerCommands(cmd *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
	at, rest, err := cmd.Root().Find(args)
	if err == nil && len(rest) == 0 {
		for _, sub := range at.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// offerNetworks completes the last of a list of networks.
func offerNetworks(_ *cobra.Command, _ []string, typed string) (lists []cobra.Completion, _ cobra.ShellCompDirective) {
	before := typed[:strings.LastIndex(typed, ",")+1]
	for _, name := range networkNames() {
		lists = append(lists, before+name)
	}
	return lists, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// offerLevels completes the last of LEVEL[,PART=LEVEL…].
func offerLevels(_ *cobra.Command, _ []string, typed string) (all []cobra.Completion, _ cobra.ShellCompDirective) {
	directive := cobra.ShellCompDirectiveNoFileComp
	comma, equals := strings.LastIndex(typed, ","), strings.LastIndex(typed, "=")
	if comma > equals {
		for _, part := range logParts {
			all = append(all, typed[:comma+1]+string(part)+"=")
		}
		return all, directive | cobra.ShellCompDirectiveNoSpace
	}
	for _, name := range levelNames {
		all = append(all, typed[:equals+1]+name)
	}
	return all, directive
}

// offerWords offers what explain knows by a single word.
func offerWords(*cobra.Command, []string, string) (words []cobra.Completion, _ cobra.ShellCompDirective) {
	for _, e := range explanations("") {
		if !strings.Contains(e.Name, " ") {
			words = append(words, cobra.CompletionWithDesc(e.Name, e.Kind))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// offerPeers offers each of the ways to name a peer that fits what is typed.
func (a *app) offerPeers(cmd *cobra.Command, args []string, typed string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
	if strings.Contains(typed, ":") {
		return a.offerAddresses(cmd, args, typed)
	}
	for _, p := range a.findPeers(cmd, typed) {
		if strings.HasPrefix(p.PublicKey, typed) {
			names = append(names, cobra.CompletionWithDesc(p.PublicKey, "node id "+p.NodeID))
		} else {
			names = append(names, cobra.CompletionWithDesc(p.NodeID, "of "+p.PublicKey))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// offerAddresses offers PUBKEY::ADDRESS of peers whose address is known.
func (a *app) offerAddresses(cmd *cobra.Command, _ []string, typed string) (all []cobra.Completion, _ cobra.ShellCompDirective) {
	key, _, _ := strings.Cut(typed, ":")
	for _, p := range a.findPeers(cmd, key) {
		for _, address := range p.Addresses {
			one := p.PublicKey + "::" + address
			if strings.HasPrefix(one, typed) && harmless(address) && len(all) < maxOffered {
				all = append(all, one)
			}
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// harmless: an address is what a stranger claims, and a name in it can hold anything; a shell must see nothing in it but text.
func harmless(address string) bool {
	return strings.Trim(address, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/.:-_") == ""
}

// findPeers asks for peers whose key or node id begins with prefix, of the node that runs in the data folder of cmd or of what is in the
// folder, which stays as it is. What goes wrong leaves it with fewer of them.
func (a *app) findPeers(cmd *cobra.Command, prefix string) []node.PeerInfo {
	ctx, cancel := context.WithTimeout(cmd.Context(), offerWithin)
	defer cancel()
	_ = a.layer(cmd) // with a fault in the file or the environment there may be less of it
	dir, err := a.options.folder()
	if err != nil {
		return nil
	}
	list, _ := node.FindPeers(ctx, dir, prefix, maxOffered)
	return list.Peers
}
