package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExportAndImport(t *testing.T) {
	eachWay(t, func(t *testing.T, at ...string) {
		with := func(args ...string) []string { return append(args, at...) }
		says(t, exitOK, "", with("peers", "add", friend)...)
		says(t, exitOK, "", with("ban", seedKey1+"::/ip4/1.2.3.4/tcp/1", "--for", "forever", "--reason", "a test")...)

		file := filepath.Join(t.TempDir(), "book.json")
		says(t, exitOK, "", with("peers", "export", file)...)
		says(t, exitUsage, "is not overwritten", with("peers", "export", file)...)
		printed := command(t, with("peers", "export")...)
		if printed.code != exitOK || printed.out != read(t, file) || !strings.Contains(printed.out, seedKey1) {
			t.Errorf("printed %+v, the file %q", printed, read(t, file))
		}
		table := command(t, with("peers", "export", "--csv")...)
		if lines := strings.Count(table.out, "\n"); table.code != exitOK || lines != 3 {
			t.Errorf("a table of %d lines: %+v", lines, table)
		}

		other := t.TempDir()
		says(t, exitOK, "2 new, 0 known, 0 lines", "peers", "import", "--data-dir", other, file)
		says(t, exitOK, "0 new, 2 known, 0 lines", "peers", "import", "--data-dir", other, file)
		says(t, exitOK, "a test", "peers", "banned", "--data-dir", other)
		says(t, exitOK, "0 new, 2 known", with("peers", "import", file)...)

		bad := filepath.Join(t.TempDir(), "bad.json")
		first, _, _ := strings.Cut(read(t, file), "\n")
		if err := os.WriteFile(bad, []byte(first+"\n{\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		says(t, exitUsage, "line 2:", "peers", "import", "--data-dir", other, bad)
		r := commandIn(t, "no export at all\n", "peers", "import", "--data-dir", other, "-", "--json")
		if o := r.object(t); r.code != exitUsage || o["failure"] != "usage" || o["bad"] != 1.0 {
			t.Errorf("%+v", r)
		}
		says(t, exitNotFound, "there is no file", "peers", "import", "--data-dir", other, filepath.Join(other, "none"))
		says(t, exitNotFound, "there is no folder", with("peers", "export", filepath.Join(other, "none", "book.json"))...)
		if o := command(t, with("peers", "export", filepath.Join(t.TempDir(), "book.csv"), "--csv", "--json")...).object(t); !strings.HasSuffix(o["file"].(string), "book.csv") {
			t.Errorf("exported %v", o)
		}
	})
}
