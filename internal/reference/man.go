package reference

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// lineWidth is how long lines of a man page's source may be, by custom; in bytes.
const lineWidth = 78

// WriteMan writes a man page of each command into a folder, which it makes.
func (b Book) WriteMan(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, c := range commands(b.Root) {
		if err := os.WriteFile(filepath.Join(dir, manName(c)+".1"), b.man(c), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// manName is the name of a command's page: "tari-libp2p-peers-add".
func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func (b Book) man(c *cobra.Command) []byte {
	p := &page{}
	name, root := manName(c), b.Root.Name()
	fmt.Fprintf(&p.out, ".TH %q 1 %q %q %q\n", strings.ToUpper(name), b.Date.UTC().Format(time.DateOnly), root+" "+b.Version, root)
	p.section("NAME")
	p.text(name + " - " + c.Short)
	p.section("SYNOPSIS")
	p.synopsis(c)
	p.section("DESCRIPTION")
	p.paragraphs(description(c))
	p.list("COMMANDS", len(subcommands(c)), func(i int) (string, string) {
		sub := subcommands(c)[i]
		return bold(manName(sub)) + "(1)", sub.Short
	})
	all := append(options(c.LocalNonPersistentFlags()), options(b.Root.PersistentFlags())...)
	p.list("OPTIONS", len(all), func(i int) (string, string) {
		o := all[i]
		what := o.usage
		if o.initial != "" {
			what += " (default: " + o.initial + ")"
		}
		return strings.TrimSpace(bold(o.name) + " " + italic(o.value)), what
	})
	if c.Example != "" {
		p.section("EXAMPLES")
		p.asIs(unindented(c.Example))
	}
	p.list("EXIT STATUS", len(b.Exit), func(i int) (string, string) {
		return fmt.Sprint(b.Exit[i].Code), strings.ReplaceAll(b.Exit[i].Meaning, "`", "")
	})
	p.section("SEE ALSO")
	p.line(bold(manName(cmp.Or(c.Parent(), c))) + "(1)")
	return p.out.Bytes()
}

// page is a man page in the making.
type page struct{ out bytes.Buffer }

func (p *page) line(text string)  { p.out.WriteString(text + "\n") }
func (p *page) section(is string) { p.line(".SH " + is) }

func (p *page) synopsis(c *cobra.Command) {
	if !c.HasSubCommands() {
		name, rest, _ := strings.Cut(c.UseLine(), c.CommandPath())
		p.line(name + bold(c.CommandPath()) + roff(rest))
		return
	}
	p.line(bold(c.CommandPath()) + " " + italic("COMMAND"))
}

// list is a section of terms and what they mean.
func (p *page) list(name string, n int, item func(i int) (term, what string)) {
	if n == 0 {
		return
	}
	p.section(name)
	for i := range n {
		term, what := item(i)
		p.line(".TP")
		p.line(term)
		p.text(what)
	}
}

// text fills lines.
func (p *page) text(text string) {
	line := ""
	for word := range strings.FieldsSeq(roff(text)) {
		switch {
		case line == "":
			line = guarded(word)
		case len(line)+1+len(word) > lineWidth:
			p.line(line)
			line = guarded(word)
		default:
			line += " " + word
		}
	}
	if line != "" {
		p.line(line)
	}
}

// paragraphs are text, with empty lines between, and indented lines that stay as they are.
func (p *page) paragraphs(text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			p.line(".PP")
		}
		if isExample(paragraph) {
			p.asIs(strings.TrimSpace(paragraph))
		} else {
			p.text(strings.TrimLeft(paragraph, "# "))
		}
	}
}

func (p *page) asIs(text string) {
	p.line(".nf")
	for line := range strings.SplitSeq(text, "\n") {
		p.line(guarded(roff(line)))
	}
	p.line(".fi")
}

// roff is text in which nothing is an order to roff.
func roff(text string) string { return strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text) }

// guarded keeps the beginning of a line from being an order.
func guarded(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}

func bold(text string) string { return `\fB` + roff(text) + `\fR` }

func italic(text string) string {
	if text == "" {
		return ""
	}
	return `\fI` + roff(text) + `\fR`
}
