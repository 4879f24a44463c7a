// Command apidiff prints what has changed in the Go API of a module between two of its checkouts: the comparison of
// golang.org/x/exp/apidiff, whose own command can no longer keep the API of a whole module in a file.
//
//	apidiff OLD-FOLDER NEW-FOLDER
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/exp/apidiff"
	"golang.org/x/tools/go/packages"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: apidiff OLD-FOLDER NEW-FOLDER")
		os.Exit(2)
	}
	before, err1 := load(os.Args[1])
	after, err2 := load(os.Args[2])
	if err := errors.Join(err1, err2); err != nil {
		fmt.Fprintln(os.Stderr, "apidiff:", err)
		os.Exit(1)
	}
	if err := apidiff.ModuleChanges(before, after).Text(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "apidiff:", err)
		os.Exit(1)
	}
}

// load reads the packages of the module in dir that others can import.
func load(dir string) (*apidiff.Module, error) {
	mode := packages.NeedName | packages.NeedTypes | packages.NeedImports | packages.NeedDeps | packages.NeedModule
	found, err := packages.Load(&packages.Config{Mode: mode, Dir: dir}, "./...")
	if err != nil {
		return nil, err
	}
	m := new(apidiff.Module)
	for _, p := range found {
		if len(p.Errors) > 0 {
			return nil, fmt.Errorf("%s: %w", p.PkgPath, p.Errors[0])
		}
		if p.Module != nil {
			m.Path = p.Module.Path
		}
		if p.Name != "main" && !strings.Contains(p.PkgPath+"/", "/internal/") {
			m.Packages = append(m.Packages, p.Types)
		}
	}
	if len(m.Packages) == 0 {
		return nil, fmt.Errorf("no packages in %s", dir)
	}
	return m, nil
}
