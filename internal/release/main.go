// Command release builds the archives of a release, the same bytes each time: for each system the command with its documents, man pages
// and the completion of shells, a list of what is in it (a CycloneDX SBOM), what all were built of (a SLSA provenance), and the checksums
// of all.
//
//	go run ./internal/release -out dist                       all systems
//	go run ./internal/release -out dist -sign KEYFILE         and SHA256SUMS.sig, by an SSH key
//	go run ./internal/release -out dist -target linux/amd64   one
//
// It is run in the root of a git checkout. The time in the archives is SOURCE_DATE_EPOCH, or else that of the commit. Same bytes need
// the same Go version; which it was is in the SBOM.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// targets are the systems that a release is built for, as GOOS/GOARCH.
func targets() []string {
	return []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"}
}

func main() {
	out := flag.String("out", "dist", "`folder` for what is built; what is in it already stays")
	target := flag.String("target", "", "only `GOOS/GOARCH`")
	key := flag.String("sign", "", "sign the checksums with the SSH key in `file`")
	flag.Parse()
	err := release(*out, *target)
	if err == nil && *key != "" {
		err = sign(*out, *key)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release builds one target, or all if it is empty, into dir.
func release(dir, only string) error {
	chosen := targets()
	if only != "" {
		if !slices.Contains(chosen, only) {
			return fmt.Errorf("no target %q: one of %s", only, strings.Join(chosen, ", "))
		}
		chosen = []string{only}
	}
	when, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var made []string
	var last *parts
	for _, target := range chosen {
		var files []string
		if files, last, err = releaseOne(dir, target, when); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		made = append(made, files...)
	}
	origin, err := provenance(dir, made, last.commit)
	if err != nil {
		return err
	}
	name := last.release() + ".intoto.json"
	if err := os.WriteFile(filepath.Join(dir, name), origin, 0o644); err != nil {
		return err
	}
	return writeChecksums(dir, append(made, name))
}

// release is the beginning of the names of all files of a release.
func (p *parts) release() string { return "tari-libp2p_" + strings.TrimPrefix(p.version, "v") }

// releaseOne builds the archive and the SBOM of one target into dir, and gives their names and what the program was built of.
func releaseOne(dir, target string, when time.Time) (names []string, built *parts, err error) {
	tmp, err := os.MkdirTemp("", "release-")
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	binary := filepath.Join(tmp, "tari-libp2p")
	if strings.HasPrefix(target, "windows/") {
		binary += ".exe"
	}
	if err := build(binary, target); err != nil {
		return nil, nil, err
	}
	parts, err := readParts(binary)
	if err != nil {
		return nil, nil, err
	}
	base := parts.release() + "_" + strings.ReplaceAll(target, "/", "_")
	files, err := contents(binary, target, parts)
	if err != nil {
		return nil, nil, err
	}
	share := filepath.Join(tmp, "share")
	if err := generate(share, parts.version, when); err != nil {
		return nil, nil, err
	}
	shared, err := folder(share, target)
	if err != nil {
		return nil, nil, err
	}
	files = append(files, shared...)
	archive := base + ".tar.gz"
	pack := tarGz
	if strings.HasPrefix(target, "windows/") {
		archive, pack = base+".zip", zipped
	}
	packed, err := pack(base, files, when)
	if err != nil {
		return nil, nil, err
	}
	bom, err := sbom(parts, when)
	if err != nil {
		return nil, nil, err
	}
	list := base + ".cdx.json"
	fmt.Println(filepath.Join(dir, archive))
	return []string{archive, list}, parts, errors.Join(
		os.WriteFile(filepath.Join(dir, archive), packed, 0o644), os.WriteFile(filepath.Join(dir, list), bom, 0o644))
}

// build compiles the command. Nothing of this machine gets into it: no path, no C library, no setting of the caller's.
func build(binary, target string) error {
	system, arch, _ := strings.Cut(target, "/")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", binary, "./cmd/tari-libp2p")
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off",
		"GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off")
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// generate has the command's own tree of commands written as man pages and completion of shells. That program runs here, whatever the target.
func generate(share, version string, when time.Time) error {
	cmd := exec.Command("go", "run", "-tags", "generate", "./cmd/tari-libp2p", "-share", share, "-version", version)
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", when.Unix()))
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// folder are the files in a folder, by name; no man pages for Windows.
func folder(dir, target string) (files []file, err error) {
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(target, "windows/") && path.Ext(name) == ".1" {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		files = append(files, file{name: name, content: content})
		return err
	})
	return files, err
}

// contents are the files of an archive that are there already, the program among them.
func contents(binary, target string, parts *parts) ([]file, error) {
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	licenses, err := licenses(parts.modules)
	if err != nil {
		return nil, err
	}
	files := []file{
		{name: filepath.Base(binary), content: program, executable: true},
		{name: "LICENSES-of-dependencies.txt", content: licenses},
	}
	names := []string{
		"LICENSE", "CHANGELOG.md", "README.md", "SECURITY.md", "docs/cli.md", "docs/reference.md", "docs/errors.md", "docs/schema.json",
		"docs/operating.md", "docs/pictures/top.svg",
	}
	if strings.HasPrefix(target, "linux/") {
		names = append(names, "packaging/tari-libp2p.service", "packaging/tari-libp2p.sysusers")
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: name, content: content})
	}
	return files, nil
}

// sourceDate is the time to put into archives: epoch, in seconds, or that of the commit.
func sourceDate(epoch string) (time.Time, error) {
	if epoch == "" {
		out, err := exec.Command("git", "log", "-1", "--format=%ct").Output()
		if err != nil {
			return time.Time{}, fmt.Errorf("git log: %w", err)
		}
		epoch = strings.TrimSpace(string(out))
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q is no number of seconds since 1970", epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

const sumsName = "SHA256SUMS"

// writeChecksums writes SHA256SUMS of the files names of dir, as sha256sum -c reads it.
func writeChecksums(dir string, names []string) error {
	slices.Sort(names)
	var sums strings.Builder
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), name)
	}
	return os.WriteFile(filepath.Join(dir, sumsName), []byte(sums.String()), 0o644)
}
