package main

import (
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/internal/terminal"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

// exportedTo is what an export to a file prints.
type exportedTo struct {
	File string `json:"file"`
}

func (a *app) peersExportCommand() *cobra.Command {
	var csv bool
	c := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write the whole peer book to standard output or a new file",
		Long: "Write the whole peer book, bans included: as JSON, an object a line, which \"peers import\" reads without loss,\n" +
			"or with --csv as a table for people. A file that is there already is not overwritten.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			format := peerbook.JSON
			if csv {
				format = peerbook.CSV
			}
			return a.withNode(cmd.Context(), node.Open, func(c *node.Client) error {
				if len(args) == 0 || args[0] == "-" {
					return c.ExportPeers(cmd.Context(), format, a.out)
				}
				err := newFile(args[0], func(w io.Writer) error { return c.ExportPeers(cmd.Context(), format, w) })
				if err != nil {
					return err
				}
				return a.show(exportedTo{File: args[0]}, func() { a.out.printf("written to %s\n", args[0]) })
			})
		},
	}
	a.options.folderFlags(c)
	c.Flags().BoolVar(&csv, "csv", false, "as a table")
	return c
}

func (a *app) peersImportCommand() *cobra.Command {
	var csv bool
	c := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Take peers and bans from an export into the book",
		Long: "Take peers and bans from what \"peers export\" wrote into the book. What is known is joined. Lines that make no\n" +
			"sense change nothing and are reported. Import only what you trust: it says who is a seed and who is banned.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			from := a.stdin
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return notRead(args[0], err)
				}
				defer f.Close()
				from = f
			}
			bar := a.progress(false)
			from = &watchedReader{from: from, size: sizeOf(from), bar: bar}
			format := peerbook.JSON
			if csv || strings.HasSuffix(args[0], ".csv") {
				format = peerbook.CSV
			}
			return a.withNode(cmd.Context(), node.Open, func(c *node.Client) error {
				done, err := c.ImportPeers(cmd.Context(), format, from)
				bar.End()
				if err != nil {
					return err
				}
				if done.Bad > 0 && done.Added+done.Merged == 0 {
					return a.showFailed(done, usagef("nothing was taken: is this an export of peers?"), func() { a.printImported(done) })
				}
				return a.show(done, func() { a.printImported(done) })
			})
		},
	}
	a.options.folderFlags(c)
	c.Flags().BoolVar(&csv, "csv", false, "the file is a table; so is one whose name ends in .csv")
	return c
}

// watchedReader shows how much of what is read has been.
type watchedReader struct {
	from       io.Reader
	read, size int64 // size is 0 if nobody knows
	bar        *terminal.Progress
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	w.read += int64(n)
	w.bar.Show(w.read, w.size, "%d kB read", w.read/1000)
	return n, err
}

// sizeOf is how long a file is; 0 of what is none.
func sizeOf(from io.Reader) int64 {
	f, ok := from.(*os.File)
	if !ok {
		return 0
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

func (a *app) printImported(done node.Imported) {
	for _, bad := range done.Errors {
		a.out.printf("line %d: %s\n", bad.Line, bad.Error)
	}
	a.out.printf("%d new, %d known, %d lines that were not taken\n", done.Added, done.Merged, done.Bad)
}
