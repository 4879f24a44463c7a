package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each row of conformance.md names tests that exist, or says why there is none.
func TestConformance(t *testing.T) {
	rows := 0
	tests := treeTests{root: "..", dirs: map[string]map[string]bool{}}
	for _, fault := range checkConformance(read(t, "conformance.md"), tests.has, &rows) {
		t.Error(fault)
	}
	if rows < 200 {
		t.Errorf("%d rows", rows)
	}
}

// The check itself finds what it is there for.
func TestConformanceSeesFaults(t *testing.T) {
	const head = "# Title\n\nText.\n\n## Area\n\n| behaviour | our test | better |\n|---|---|---|\n"
	tests := treeTests{root: "..", dirs: map[string]map[string]bool{}}
	for text, want := range map[string]string{
		head + "| a | `docs TestConformance` | same |\n":                                   "",
		head + "| a | `docs TestConformance/x y`, `docs Example_fromRust` | same |\n":      "",
		head + "| a | `tari TestTwoHosts`, `interop TestModern` | same |\n":                "",
		head + "| a | `peerbook/pebbletest TestKill`, `examples/ping TestPing` | same |\n": "",
		head + "| a | – | left out: because |\n":                                           "",
		head + "| a | `docs TestNoSuch` | same |\n":                                        "docs has no TestNoSuch",
		head + "| a | `nowhere TestConformance` | same |\n":                                "nowhere has no TestConformance",
		head + "| a | `docs checkConformance` | same |\n":                                  "names no test",
		head + "| a | `docs TestMain` | same |\n":                                          "names no test",
		head + "| a | docs TestConformance | same |\n":                                     "names no test",
		head + "| a | – | same |\n":                                                        "names no test",
		head + "| a | `docs TestConformance` |  |\n":                                       "empty",
		head + "|  | `docs TestConformance` | same |\n":                                    "empty",
		head + "| a | `docs TestConformance` |\n":                                          "2 cells",
		head + "| a | `docs TestConformance` | same |\n\n## Next\n\nText.\n":               "no rows under Next",
		head: "no rows under Area",
		"# Title\n\n| behaviour | our test | better |\n|---|---|---|\n| a | `docs TestX` | same |\n": "docs has no TestX",
	} {
		rows := 0
		got := strings.Join(checkConformance(text, tests.has, &rows), "; ")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s\ngives %q, want %q", text, got, want)
		}
	}
}

// leftOut begins the last cell of a row that has no test.
const leftOut = "left out: "

var (
	testName = regexp.MustCompile("`([^` ]+) ((?:Test|Fuzz|Example)[^`/]*)(?:/[^`]*)?`")
	rule     = regexp.MustCompile(`^\|(-+\|)+$`)
)

// checkConformance lists the faults of a document and counts its rows. A table has a head of its own under each heading.
func checkConformance(text string, has func(dir, name string) bool, rows *int) (faults []string) {
	heading, under, last := "", 0, ""
	end := func() {
		if strings.HasPrefix(heading, "## ") && under == 0 {
			faults = append(faults, "no rows under "+heading[3:])
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
			end()
			heading, under = line, 0
		case rule.MatchString(line):
		case strings.HasPrefix(line, "|") && !strings.HasPrefix(last, "|"): // the head
		case strings.HasPrefix(line, "|"):
			*rows, under = *rows+1, under+1
			for _, fault := range checkRow(line, has) {
				faults = append(faults, fmt.Sprintf("%s: %s", fault, line))
			}
		}
		last = line
	}
	end()
	return faults
}

func checkRow(line string, has func(dir, name string) bool) (faults []string) {
	cells := strings.Split(strings.Trim(line, "|"), "|")
	if len(cells) != 3 {
		return []string{fmt.Sprintf("%d cells", len(cells))}
	}
	for i := range cells {
		if cells[i] = strings.TrimSpace(cells[i]); cells[i] == "" {
			faults = append(faults, "an empty cell")
		}
	}
	named := testName.FindAllStringSubmatch(cells[1], -1)
	named = slices.DeleteFunc(named, func(m []string) bool { return m[2] == "TestMain" })
	if len(named) == 0 && !(cells[1] == "–" && strings.HasPrefix(cells[2], leftOut)) {
		faults = append(faults, "names no test and no reason")
	}
	for _, m := range named {
		if !has(m[1], m[2]) {
			faults = append(faults, fmt.Sprintf("%s has no %s", m[1], m[2]))
		}
	}
	return faults
}

// treeTests knows the tests of the directories below root, whatever their build tags and modules. The root itself is package tari.
type treeTests struct {
	root string
	dirs map[string]map[string]bool
}

func (tt treeTests) has(dir, name string) bool {
	if dir == "tari" {
		dir = "."
	}
	known, looked := tt.dirs[dir]
	if !looked {
		known = map[string]bool{}
		files, _ := filepath.Glob(filepath.Join(tt.root, dir, "*_test.go")) // the pattern is well-formed
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				continue // the compiler tells
			}
			for _, d := range parsed.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
					known[f.Name.Name] = true
				}
			}
		}
		tt.dirs[dir] = known
	}
	return known[name]
}
