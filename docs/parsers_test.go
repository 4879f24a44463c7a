package docs_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	fuzzName = regexp.MustCompile("`([^` ]+) (Fuzz[^`]*)`")
	fuzzFunc = regexp.MustCompile(`(?m)^func (Fuzz\w*)\(`)
)

// TestParsers: each row of parsers.md names fuzz targets that exist, and each target of the repository is there.
func TestParsers(t *testing.T) {
	text := read(t, "parsers.md")
	tests := treeTests{root: "..", dirs: map[string]map[string]bool{}}
	named, rows := map[string]bool{}, 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| what is read") {
			continue
		}
		rows++
		found := fuzzName.FindAllStringSubmatch(line, -1)
		if len(found) == 0 || strings.Count(line, " | ") != 2 {
			t.Errorf("no target: %s", line)
		}
		for _, m := range found {
			if named[m[1]+" "+m[2]] = true; !tests.has(m[1], m[2]) {
				t.Errorf("%s has no %s", m[1], m[2])
			}
		}
	}
	if rows < 30 {
		t.Errorf("%d rows", rows)
	}
	targets := fuzzTargets(t)
	for _, target := range targets {
		if !named[target] {
			t.Errorf("parsers.md does not name %s", target)
		}
	}
	if len(targets) < rows {
		t.Errorf("%d targets found for %d rows", len(targets), rows)
	}
}

// fuzzTargets are all of the repository, as the document names them.
func fuzzTargets(t *testing.T) (out []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		dir := path.Dir(strings.TrimPrefix(filepath.ToSlash(file), "../"))
		if dir == "." {
			dir = "tari"
		}
		for _, m := range fuzzFunc.FindAllStringSubmatch(string(text), -1) {
			out = append(out, dir+" "+m[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
