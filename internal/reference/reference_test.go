package reference

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// book has what can go wrong: signs that mean something to Markdown or roff, lines that begin with them, a hidden command.
func book() Book {
	nothing := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "tool", Short: "A tool", Long: "A tool.\n\n.SH is no section\n\n\ttool fly -f\n\nThe end."}
	root.PersistentFlags().Bool("json", false, "print JSON")
	fly := &cobra.Command{
		Use: "fly FILE|-", Short: "Fly | over it", Run: nothing,
		Example: "  tool fly a\\b\n  'quoted'",
	}
	fly.Flags().StringSliceP("over", "o", []string{"*.*"}, "a `RANGE` such as /ip4/10.*.*.*/tcp/* or [x]")
	fly.Flags().Int("times", 0, "so many `N`")
	root.AddCommand(fly, &cobra.Command{Use: "secret", Short: "Hidden", Hidden: true, Run: nothing})
	return Book{Root: root, Version: "1.2.3", Date: time.Unix(1_700_000_000, 0), Exit: []Exit{{0, "done"}, {8, "of `fly`: too high"}}}
}

const markdown = "# Reference of `tool`\n\n" +
	"What `tool COMMAND --help` says of every command, written by `make docs`. What it is for stands in [cli.md](cli.md).\n\n" +
	"| command | |\n|---|---|\n" +
	"| [`fly`](#fly) | Fly \\| over it |\n" + `
Options of every command:

| option | default | |
|---|---|---|
` + "| `--json` |  | print JSON |\n" + `
## fly

Fly | over it.

` + "```\ntool fly FILE|- [flags]\n```\n\nFor example:\n\n```\ntool fly a\\b\n'quoted'\n```\n\n" + `| option | default | |
|---|---|---|
` + "| `-o, --over RANGE` | `[*.*]` | a RANGE such as /ip4/10.\\*.\\*.\\*/tcp/\\* or \\[x] |\n| `--times N` |  | so many N |\n"

func TestMarkdown(t *testing.T) {
	if got := string(book().Markdown()); got != markdown {
		t.Errorf("%s", got)
	}
}

const rootPage = `.TH "TOOL" 1 "2023-11-14" "tool 1.2.3" "tool"
.SH NAME
tool \- A tool
.SH SYNOPSIS
\fBtool\fR \fICOMMAND\fR
.SH DESCRIPTION
A tool.
.PP
\&.SH is no section
.PP
.nf
tool fly \-f
.fi
.PP
The end.
.SH COMMANDS
.TP
\fBtool\-fly\fR(1)
Fly | over it
.SH OPTIONS
.TP
\fB\-\-json\fR
print JSON
.SH EXIT STATUS
.TP
0
done
.TP
8
of fly: too high
.SH SEE ALSO
\fBtool\fR(1)
`

func TestMan(t *testing.T) {
	t.Setenv("TZ", "Asia/Tokyo")
	dir := filepath.Join(t.TempDir(), "man")
	if err := book().WriteMan(dir); err != nil {
		t.Fatal(err)
	}
	pages, err := os.ReadDir(dir)
	if err != nil || len(pages) != 2 {
		t.Fatal(pages, err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "tool.1")); err != nil || string(got) != rootPage {
		t.Errorf("%s%v", got, err)
	}
	fly, err := os.ReadFile(filepath.Join(dir, "tool-fly.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n\\fBtool fly\\fR FILE|\\- [flags]\n", "\n\\fB\\-o, \\-\\-over\\fR \\fIRANGE\\fR\na RANGE such as /ip4/10.*.*.*/tcp/* or [x] (default: [*.*])\n",
		"\n.nf\ntool fly a\\eb\n\\&'quoted'\n.fi\n",
	} {
		if !strings.Contains(string(fly), want) {
			t.Errorf("no %q in %s", want, fly)
		}
	}
	if mandoc, err := exec.LookPath("mandoc"); err == nil {
		if said, err := exec.CommandContext(t.Context(), mandoc, "-Tlint", "-Wwarning", filepath.Join(dir, "tool.1"), filepath.Join(dir, "tool-fly.1")).CombinedOutput(); err != nil {
			t.Errorf("%s%v", said, err)
		}
	} else if t.Log("mandoc is missing: it has not judged the pages"); os.Getenv("CI") == "true" {
		t.Error("mandoc is missing: scripts/test.sh prepare installs it")
	}
}
