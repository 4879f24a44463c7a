package reference

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Markdown is all of the book on one page.
func (b Book) Markdown() []byte {
	var out bytes.Buffer
	name := b.Root.Name()
	fmt.Fprintf(&out, "# Reference of `%s`\n\nWhat `%s COMMAND --help` says of every command, written by `make docs`. What it is for stands in [cli.md](cli.md).\n\n", name, name)
	out.WriteString("| command | |\n|---|---|\n")
	all := commands(b.Root)[1:]
	for _, c := range all {
		path := strings.TrimPrefix(c.CommandPath(), name+" ")
		fmt.Fprintf(&out, "| [`%s`](#%s) | %s |\n", path, strings.ReplaceAll(path, " ", "-"), cell(c.Short))
	}
	out.WriteString("\nOptions of every command:\n\n")
	markdownOptions(&out, options(b.Root.PersistentFlags()))
	for _, c := range all {
		fmt.Fprintf(&out, "\n## %s\n", strings.TrimPrefix(c.CommandPath(), name+" "))
		markdownCommand(&out, c)
	}
	return out.Bytes()
}

func markdownCommand(out *bytes.Buffer, c *cobra.Command) {
	out.WriteString("\n")
	for line := range strings.Lines(description(c)) {
		if isExample(line) {
			fmt.Fprintf(out, "    %s\n", strings.TrimSpace(line))
		} else {
			out.WriteString(prose.Replace(line))
		}
	}
	if !c.HasSubCommands() {
		fmt.Fprintf(out, "\n\n```\n%s\n```\n", c.UseLine())
	} else {
		out.WriteString("\n")
	}
	if c.Example != "" {
		fmt.Fprintf(out, "\nFor example:\n\n```\n%s\n```\n", unindented(c.Example))
	}
	if own := options(c.LocalFlags()); len(own) > 0 {
		out.WriteString("\n")
		markdownOptions(out, own)
	}
}

func markdownOptions(out *bytes.Buffer, all []option) {
	out.WriteString("| option | default | |\n|---|---|---|\n")
	for _, o := range all {
		initial := ""
		if o.initial != "" {
			initial = "`" + o.initial + "`"
		}
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", strings.TrimSpace(o.name+" "+o.value), initial, cell(o.usage))
	}
}

// prose is text in which nothing is meant to be Markdown.
var prose = strings.NewReplacer("\\", "\\\\", "*", "\\*", "_", "\\_", "<", "&lt;", "`", "\\`", "[", "\\[")

// cell is prose within a table.
func cell(text string) string { return strings.ReplaceAll(prose.Replace(text), "|", "\\|") }

func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}
