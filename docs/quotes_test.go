// Package docs_test compiles and runs the Go code that the documents of this folder quote.
package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each Go block of a document is in one of the files here, line by line, as it stands or one tab further in.
func TestQuotes(t *testing.T) {
	var code strings.Builder
	for _, file := range glob(t, "*_test.go") {
		code.WriteString("\n" + read(t, file))
	}
	quotes := 0
	for _, file := range glob(t, "*.md") {
		for i, part := range strings.Split(read(t, file), "```") {
			block, isGo := strings.CutPrefix(part, "go\n")
			if !isGo || i%2 == 0 {
				continue
			}
			quotes++
			if !strings.Contains(code.String(), "\n"+block) && !strings.Contains(code.String(), "\n"+indented(block)) {
				t.Errorf("%s: no file here has\n%s", file, block)
			}
		}
	}
	if quotes < 4 {
		t.Errorf("%d quotes found", quotes)
	}
}

func indented(block string) string {
	var b strings.Builder
	for line := range strings.Lines(block) {
		if line != "\n" {
			line = "\t" + line
		}
		b.WriteString(line)
	}
	return b.String()
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s here: %v", pattern, err)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
