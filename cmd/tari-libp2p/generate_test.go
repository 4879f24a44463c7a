package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestReference: docs/reference.md is what "make docs" writes, and the man pages are well-formed.
func TestReference(t *testing.T) {
	dir := t.TempDir()
	c := exec.CommandContext(t.Context(), "go", "run", "-tags", "generate", ".", "-docs", dir, "-share", dir)
	c.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000", "XDG_CONFIG_HOME=") // the go command would make the folder that TestMain names
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	written, err := os.ReadDir(filepath.Join(dir, "man"))
	if err != nil || len(written) < 40 {
		t.Errorf("%d man pages, %v", len(written), err)
	}
	docs, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil || len(docs) == 0 {
		t.Fatal(docs, err)
	}
	for _, file := range docs {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile("../../docs/" + filepath.Base(file)); err != nil || string(got) != string(want) {
			t.Errorf("docs/%s is not what the command's own help says (%v): run \"make docs\"", filepath.Base(file), err)
		}
	}
	for _, name := range []string{"tari-libp2p.bash", "_tari-libp2p", "tari-libp2p.fish", "tari-libp2p.ps1"} {
		if info, err := os.Stat(filepath.Join(dir, "completions", name)); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
	pages, err := filepath.Glob(filepath.Join(dir, "man", "*.1"))
	if err != nil {
		t.Fatal(err)
	}
	shellSays(t, nil, shell(t, "mandoc"), append([]string{"-Tlint", "-Wwarning"}, pages...)...)
}
