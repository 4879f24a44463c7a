package tari_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every package that has tests ends them with a look for goroutines that were left behind. The examples do not: they are there to be
// read, and some of what they use never ends.
func TestEveryPackageLooksForLeaks(t *testing.T) {
	looks := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || file == "examples"):
			return filepath.SkipDir
		case !strings.HasSuffix(file, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(file)
		looks[filepath.Dir(file)] = looks[filepath.Dir(file)] || strings.Contains(string(source), "goleak.VerifyTestMain(m")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg, does := range looks {
		if !does {
			t.Errorf("%s has no TestMain with goleak.VerifyTestMain", pkg)
		}
	}
	if len(looks) < 20 {
		t.Errorf("saw %d packages: is the test run in the module's root?", len(looks))
	}
}
