//go:build !(darwin || freebsd || linux || netbsd || openbsd)

// Package filelock takes a file or a folder for whoever has it open.
package filelock

import "os"

// Take says yes: there is no flock here.
func Take(*os.File) (bool, error) { return true, nil }
