package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// declared is what the packages that others may import declare: errors by name, and constants by the name of their type.
type declared struct {
	errors    []string
	constants map[string][]string // of each its text, or its name if it has none
}

// unexported are folders whose code nobody imports, or only tests do.
var unexported = []string{"internal", "cmd", "examples", "interop", "bench", "tools", "testdata", "booktest", "pebbletest"}

func declarations(t *testing.T) *declared {
	t.Helper()
	d := &declared{constants: map[string][]string{}}
	const root = "../.."
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() {
			if file != root && (slices.Contains(unexported, name) || strings.HasPrefix(name, ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		source, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err == nil {
			d.file(source)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *declared) file(f *ast.File) {
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv != nil && decl.Name.Name == "Error" && len(decl.Type.Params.List) == 0 {
				d.add(f, receiver(decl))
			}
		case *ast.GenDecl:
			d.group(f, decl)
		}
	}
}

// group looks at a group of declarations. In one of constants a type holds until the next is named, as iota wants it.
func (d *declared) group(f *ast.File, decl *ast.GenDecl) {
	of := ""
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Assign.IsValid() && strings.HasSuffix(spec.Name.Name, "Error") {
				d.add(f, spec.Name.Name)
			}
		case *ast.ValueSpec:
			if spec.Type != nil {
				of = f.Name.Name + "." + fmt.Sprint(spec.Type)
			}
			for i, name := range spec.Names {
				switch {
				case !name.IsExported():
				case decl.Tok == token.VAR && strings.HasPrefix(name.Name, "Err"):
					d.add(f, name.Name)
				case decl.Tok == token.CONST && strings.HasPrefix(name.Name, "Stage"):
					d.constants["stage"] = append(d.constants["stage"], constantText(spec, i))
				case decl.Tok == token.CONST && of != "":
					d.constants[of] = append(d.constants[of], constantText(spec, i))
				}
			}
		}
	}
}

func (d *declared) add(f *ast.File, name string) {
	if ast.IsExported(name) {
		d.errors = append(d.errors, f.Name.Name+"."+name)
	}
}

func receiver(f *ast.FuncDecl) string {
	of := f.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	return fmt.Sprint(of)
}

// constantText is that of the constant i of spec, or its name if it is none of text.
func constantText(spec *ast.ValueSpec, i int) string {
	if i < len(spec.Values) {
		if literal, ok := spec.Values[i].(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				return text
			}
		}
	}
	return spec.Names[i].Name
}

func names(all []trouble) (names []string) {
	for _, t := range all {
		names = append(names, t.name)
	}
	return names
}

// TestCatalogueIsWhole: what packages declare, and what the catalogue has, are the same.
func TestCatalogueIsWhole(t *testing.T) {
	d := declarations(t)
	same(t, "errors in Go", names(goErrors()), d.errors)
	kinds := append(slices.Clone(d.constants["node.FailureKind"]), string(failForked))
	same(t, "kinds of failure", names(kindsOfFailure()), kinds)
	same(t, "stages", names(stages()), d.constants["stage"])
	same(t, "inbound refusals", names(inboundRefusals()), d.constants["tari.Refusal"])
	var why []string
	for _, name := range reasonNames {
		why = append(why, name)
	}
	same(t, "reasons", why, d.constants["messagingproto.Reason"])
	for name, got := range map[string][]trouble{"messagingproto.Reason": reasons(), "rpc.Code": append(answers(), trouble{name: rpc.OK.String()}), "rpc.RejectReason": rejections()} {
		different := names(got)
		slices.Sort(different)
		if want := d.constants[name]; len(slices.Compact(different)) != len(want) || len(want) < 4 {
			t.Errorf("%s: the catalogue has %q, Go %q", name, different, want)
		}
	}
	if len(d.errors) < 80 {
		t.Errorf("only %d errors were seen", len(d.errors))
	}
}

func same(t *testing.T, what string, have, want []string) {
	t.Helper()
	for _, name := range want {
		if !slices.Contains(have, name) {
			t.Errorf("%s: the catalogue lacks %s", what, name)
		}
	}
	for i, name := range have {
		if !slices.Contains(want, name) || slices.Contains(have[:i], name) {
			t.Errorf("%s: %s is in the catalogue, and nowhere else or twice", what, name)
		}
	}
}

// TestCatalogueHelps: every entry says something, and sends people to commands that are there.
func TestCatalogueHelps(t *testing.T) {
	root := commandTree()
	ours := regexp.MustCompile("`tari-libp2p ([a-z -]+)")
	for _, c := range catalogue() {
		for _, e := range c.troubles {
			if e.meaning == "" || e.cause == "" || e.next == "" {
				t.Errorf("%s: %+v", c.title, e)
			}
			for _, m := range ours.FindAllStringSubmatch(e.meaning+e.cause+e.next, -1) {
				if cmd, _, err := root.Find(strings.Fields(m[1])); err != nil || !cmd.Runnable() {
					t.Errorf("%s: there is no command %q: %v", e.name, m[1], err)
				}
			}
		}
	}
}

func TestExplain(t *testing.T) {
	for text, want := range map[string]string{
		"refused":           "exit code  5",
		"queue_full":        "queue full (why a message was not sent)",
		"INBOUND_CAP":       "--max-inbound",
		"noise.ErrNoAnswer": "another network or dialect",
		"tari-libp2p: noise: receive message 2: closed before Noise answered: other network or dialect, or refused": "noise.ErrNoAnswer (errors in go)",
		"": "peerbook.LockedError",
	} {
		if r := command(t, "explain", text); r.code != exitOK || !strings.Contains(r.out, want) || strings.Contains(r.out, "`") {
			t.Errorf("%q: %+v", text, r)
		}
	}
	if r := command(t, "explain", "weather\x1b"); r.code != exitNotFound || strings.Contains(r.err, "\x1b") {
		t.Errorf("%+v", r)
	}
}

// TestExitCodesDocumented: the table in docs/cli.md is exits.
func TestExitCodesDocumented(t *testing.T) {
	raw, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	table := "| code | `failure` in JSON | meaning |\n|---|---|---|\n"
	for i, e := range exits() {
		kind := "–"
		if e.kind != "" {
			kind = "`" + string(e.kind) + "`"
		}
		table += fmt.Sprintf("| %d | %s | %s |\n", e.code, kind, e.meaning)
		if e.code != i || e.kind != "" && exitCode(e.kind) != e.code {
			t.Errorf("%s has the exit code %d, in the table %d", e.kind, exitCode(e.kind), e.code)
		}
	}
	if !strings.Contains(string(raw), table+"\n") {
		t.Errorf("the exit codes in docs/cli.md are not\n%s", table)
	}
	if exitCode("of another version") != exitOther {
		t.Error("a kind that nobody knows")
	}
}
