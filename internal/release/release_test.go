package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

var (
	when  = time.Date(2026, 11, 27, 7, 0, 0, 0, time.UTC)
	files = []file{{name: "program", content: []byte("\x7fELF"), executable: true}, {name: "docs/a.md", content: []byte("text")}}
)

func TestTarGz(t *testing.T) {
	packed, err := tarGz("folder", files, when)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(plain)
	for _, want := range files {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(content, want.content) {
			t.Errorf("%s: %q, %v", h.Name, content, err)
		}
		if h.Name != "folder/"+want.name || h.Mode != want.mode() || !h.ModTime.Equal(when) || h.Uid != 0 || h.Uname != "root" {
			t.Errorf("%+v", h)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Error("more:", err)
	}
}

func TestZipped(t *testing.T) {
	packed, err := zipped("folder", files, when)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil || len(r.File) != len(files) {
		t.Fatal(r, err)
	}
	for i, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil || !bytes.Equal(content, files[i].content) || f.Name != "folder/"+files[i].name || !f.Modified.Equal(when) {
			t.Errorf("%+v: %q, %v", f.FileHeader, content, err)
		}
	}
}

// The SBOM of this test's own program names what "go version -m" shows of it.
func TestSBOM(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := readParts(self)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := exec.Command("go", "version", "-m", self).Output()
	if err != nil {
		t.Fatal(err)
	}
	if lines := regexp.MustCompile(`(?m)^\tdep\t`).FindAll(shown, -1); len(p.modules) != 1+len(lines) {
		t.Errorf("%d parts, and go version -m shows %d modules", len(p.modules), len(lines))
	}
	if want := strings.Fields(string(shown))[1]; "go"+p.modules[0].Version != want {
		t.Errorf("Go %s, want %s", p.modules[0].Version, want)
	}
}

func TestSBOMOfParts(t *testing.T) {
	p := &parts{
		path: "example.test/m/cmd/tool", module: "example.test/m", version: "v1.2.3", commit: "abc",
		modules: []debug.Module{{Path: "std", Version: "1.26.8"}, {Path: "example.test/Upper", Version: "v2.0.0+incompatible", Sum: "h1:x="}},
	}
	out, err := sbom(p, when)
	if err != nil {
		t.Fatal(err)
	}
	var bom cycloneDX
	if err := json.Unmarshal(out, &bom); err != nil {
		t.Fatal(err)
	}
	if got := bom.Metadata.Component; got.PURL != "pkg:golang/example.test/m@v1.2.3#cmd/tool" || got.Name != "tool" || bom.Metadata.Timestamp != "2026-11-27T07:00:00Z" {
		t.Errorf("%+v", bom.Metadata)
	}
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(bom.Serial) {
		t.Error(bom.Serial)
	}
	for i, want := range []string{"pkg:golang/std@1.26.8", "pkg:golang/example.test/upper@v2.0.0%2Bincompatible"} {
		if got := bom.Components[i]; got.PURL != want || bom.Dependencies[0].On[i] != want || got.Version != p.modules[i].Version {
			t.Errorf("%+v, want %s", got, want)
		}
	}
}

func TestLicenses(t *testing.T) {
	dir := t.TempDir()
	if _, err := licensesIn(dir); err == nil {
		t.Error("a module without a license passed")
	}
	for _, name := range []string{"LICENSE", "LICENCE.md", "NOTICE", "license-mit", "licenses.go", "README.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := licensesIn(dir)
	if err != nil || len(found) != 4 {
		t.Errorf("%d files, %v", len(found), err)
	}
}

func TestSourceDate(t *testing.T) {
	if got, err := sourceDate("1700000000"); err != nil || got.Format(time.RFC3339) != "2023-11-14T22:13:20Z" {
		t.Error(got, err)
	}
	for _, bad := range []string{"soon", "-1", "1.5"} {
		if _, err := sourceDate(bad); err == nil {
			t.Errorf("%s passed", bad)
		}
	}
}

func TestChecksums(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "a"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeChecksums(dir, []string{"b", "a"}); err != nil {
		t.Fatal(err)
	}
	const want = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a\n" +
		"3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  b\n"
	if got, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS")); err != nil || string(got) != want {
		t.Errorf("%s%v", got, err)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"man/a.1", "completions/b"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for target, want := range map[string]string{"linux/amd64": "completions/b man/a.1", "windows/amd64": "completions/b"} {
		files, err := folder(dir, target)
		var names []string
		for _, f := range files {
			if names = append(names, f.name); string(f.content) != f.name {
				t.Errorf("%s holds %q", f.name, f.content)
			}
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%s: %s, %v", target, got, err)
		}
	}
}

func TestUnknownTarget(t *testing.T) {
	if err := release(t.TempDir(), "plan9/mips"); err == nil || !strings.Contains(err.Error(), "linux/amd64") {
		t.Error(err)
	}
}

func TestProvenance(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "a"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := provenance(dir, []string{"b", "a"}, "c0ffee")
	if err != nil {
		t.Fatal(err)
	}
	var s statement
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	// SHA-256 of "a", as sha256sum has it.
	const sumA = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
	if len(s.Subject) != 2 || s.Subject[0].Name != "a" || s.Subject[0].Digest["sha256"] != sumA {
		t.Errorf("subjects %+v", s.Subject)
	}
	if got := s.Predicate.Build.Dependencies[0].Digest["gitCommit"]; got != "c0ffee" {
		t.Errorf("commit %q", got)
	}
	if _, err := provenance(dir, []string{"c"}, ""); err == nil {
		t.Error("of a file that is not there")
	}
}
