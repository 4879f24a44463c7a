//go:build generate

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/internal/reference"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// With the build tag "generate" the program is another one, which writes what is made from the tree of commands.
func main() {
	docs := flag.String("docs", "", "write the reference into this `folder`")
	share := flag.String("share", "", "write man pages and the shells' completion into this `folder`; of the time SOURCE_DATE_EPOCH")
	version := flag.String("version", node.Version(), "of the program, for the man pages")
	flag.Parse()
	if err := generate(*docs, *share, *version); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate(docs, share, version string) error {
	book := reference.Book{Root: newApp(nil, io.Discard, io.Discard).rootCommand(), Version: version}
	book.Root.InitDefaultCompletionCmd()
	for _, e := range exits() {
		book.Exit = append(book.Exit, reference.Exit{Code: e.code, Meaning: e.meaning})
	}
	if docs != "" {
		err := errors.Join(
			os.WriteFile(filepath.Join(docs, "reference.md"), book.Markdown(), 0o644),
			os.WriteFile(filepath.Join(docs, "errors.md"), errorsPage(), 0o644))
		if err != nil {
			return err
		}
	}
	if share == "" {
		return nil
	}
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return errors.New("SOURCE_DATE_EPOCH is no number of seconds since 1970")
	}
	book.Date = time.Unix(seconds, 0)
	return errors.Join(book.WriteMan(filepath.Join(share, "man")), writeCompletions(book.Root, filepath.Join(share, "completions")))
}

// errorsPage is docs/errors.md.
func errorsPage() []byte {
	var out bytes.Buffer
	out.WriteString("# What can go wrong\n\nWritten by `make docs` from the list that `tari-libp2p explain` reads. Exit codes are those of [cli.md](cli.md#exit-codes); – is what no\n" +
		"command ends with.\n")
	for _, c := range catalogue() {
		fmt.Fprintf(&out, "\n## %s\n\n%s\n\n| name | meaning | likely cause | next | exit code |\n|---|---|---|---|---|\n", c.title, c.about)
		for _, t := range c.troubles {
			code := "–"
			if n := t.code(); n != nil {
				code = strconv.Itoa(*n)
			}
			name := "`" + t.name + "`"
			if t.also != "" {
				name += ", `" + t.also + "`"
			}
			fmt.Fprintf(&out, "| %s | %s | %s | %s | %s |\n", name, t.meaning, t.cause, t.next, code)
		}
	}
	return out.Bytes()
}

// writeCompletions writes each shell's script under the name that it has to have where the shell looks for it.
func writeCompletions(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	return errors.Join(
		root.GenBashCompletionFileV2(at("tari-libp2p.bash"), true),
		root.GenZshCompletionFile(at("_tari-libp2p")),
		root.GenFishCompletionFile(at("tari-libp2p.fish"), true),
		root.GenPowerShellCompletionFileWithDesc(at("tari-libp2p.ps1")),
	)
}
