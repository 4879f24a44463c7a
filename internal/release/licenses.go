package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
)

// licenseFile is what modules call the files with their terms.
var licenseFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|unlicense)([.-].*)?$`)

// licenses are the terms of all modules, one after the other: most of them want that whoever gets the program gets these too.
// A module without any is an error.
func licenses(modules []debug.Module) ([]byte, error) {
	folders, err := moduleFolders()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, m := range modules {
		texts, err := licensesIn(folders[m.Path])
		if err != nil {
			return nil, fmt.Errorf("the license of %s %s: %w", m.Path, m.Version, err)
		}
		for _, text := range texts {
			fmt.Fprintf(&out, "==== %s %s: %s\n\n%s\n\n", m.Path, m.Version, text.name, bytes.TrimSpace(text.content))
		}
	}
	return out.Bytes(), nil
}

// licensesIn reads the files with terms in a module's folder; there is at least one.
func licensesIn(folder string) (found []file, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !licenseFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		found = append(found, file{name: e.Name(), content: text})
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no such file in %s", folder)
	}
	return found, nil
}

// moduleFolders are where the files of each module are, and those of Go itself.
func moduleFolders() (map[string]string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	list, err := exec.Command("go", "list", "-m", "-f", "{{.Path}}\t{{.Dir}}", "all").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	folders := map[string]string{"std": strings.TrimSpace(string(root))}
	for line := range strings.Lines(string(list)) {
		module, folder, _ := strings.Cut(strings.TrimSpace(line), "\t")
		folders[module] = folder
	}
	return folders, nil
}
