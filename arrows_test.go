package tari_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the import path of the root package.
const module = "github.com/tari-libp2p/tari-libp2p"

// arrows is the architecture: which of our packages a package may import. Arrows go down only; nothing lower knows who
// uses it. Tests, interop and examples may import what they like. A new package needs a line here, and with it a decision.
var arrows = map[string]string{
	// level 0: knows nothing of ours
	"tarikey":              "",
	"wiremode":             "",
	"tariproto":            "",
	"yamux":                "",
	"memnet":               "",
	"internal/prost":       "",
	"internal/private":     "",
	"internal/filelock":    "",
	"internal/transcript":  "",
	"internal/boundedhttp": "",
	"internal/terminal":    "",
	"basenode/basenodepb":  "",
	"internal/dhtproto":    "",
	"internal/release":     "", // a program
	"internal/reference":   "",

	// for tests
	"internal/claimtest":    "tarikey",
	"internal/crawltest":    ". dialect identityproto peersync rpc tarikey internal/dhtproto",
	"internal/chaintest":    "basenode basenode/basenodepb rpc dialect",
	"peerbook/booktest":     "peerbook identityproto tarikey",
	"internal/hostile":      "",
	"internal/loadtest":     "",
	"internal/terminaltest": "",

	// level 1: one step of a connection each, and the dialects that put them in order
	"noise":         "tarikey",
	"identityproto": "tarikey tariproto internal/prost",
	"dialect":       "wiremode noise identityproto tariproto tarikey yamux",
	"torsocks":      "",
	"plainlibp2p":   "", // nobody but programs that ask for it imports it
	"torctl":        "internal/private",

	// level 2: the host, and what works on any go-libp2p host
	".":              "memnet dialect wiremode tariproto identityproto tarikey torsocks",
	"messagingproto": "tariproto tarikey",
	"pipeline":       "messagingproto internal/prost",
	"rpc":            "tariproto internal/prost",
	"basenode":       "rpc dialect tarikey basenode/basenodepb",
	"peerbook":       "tarikey identityproto internal/filelock",
	"seeds":          ". identityproto",
	"peersync":       "rpc identityproto tarikey internal/dhtproto",

	// policy: how many connections, to whom
	"connectivity": "",
	"linkwatch":    "",

	// assembly
	"node":                 "*",
	"metrics":              ". node connectivity messagingproto pipeline dialect internal/boundedhttp",
	"internal/webstatus":   "node dialect internal/boundedhttp",
	"crawl":                ". node peersync rpc dialect identityproto tarikey internal/filelock",
	"internal/conformance": ". node rpc dialect yamux noise identityproto tariproto tarikey",
	"cmd/tari-libp2p":      "*",
}

// rooms are modules of others that one package alone imports, so that the rest can do without them.
var rooms = map[string]string{
	"github.com/prometheus/": "metrics",
}

// outside are folders whose Go code uses the module as anyone else would.
var outside = []string{"interop", "examples", "tools", "peerbook/pebbletest", "bench/compare", "internal/webstatus/browsertest"}

func TestArrows(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file = filepath.ToSlash(file)
		name := entry.Name()
		switch {
		case entry.IsDir() && file != "." && (strings.HasPrefix(name, ".") || name == "testdata" || slices.Contains(outside, file)):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		seen[path.Dir(file)] = true
		checkImports(t, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !seen["."] || !seen["noise"] {
		t.Fatal("saw no source files: is the test run in the module's root?")
	}
}

// checkImports reports every import of ours in a file that has no arrow.
func checkImports(t *testing.T, file string) {
	t.Helper()
	from := path.Dir(file)
	allowed, known := arrows[from]
	if !known {
		t.Errorf("%s: package %s is not in the table of arrows", file, from)
		return
	}
	source, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range source.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		for others, room := range rooms {
			if strings.HasPrefix(imported, others) && from != room {
				t.Errorf("%s imports %s, which only %s may", file, imported, room)
			}
		}
		to, ours := relative(imported)
		switch {
		case !ours:
		case to == from:
			t.Errorf("%s imports its own package", file)
		case allowed == "*":
			if _, known := arrows[to]; !known {
				t.Errorf("%s imports %s, which is not in the table of arrows", file, to)
			}
		case !slices.Contains(strings.Fields(allowed), to):
			t.Errorf("%s: no arrow from %s to %s", file, from, to)
		}
	}
}

// relative turns an import path into a folder of this module.
func relative(imported string) (folder string, ours bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}
