//go:build darwin || freebsd || linux || netbsd || openbsd

// Package filelock takes a file or a folder for whoever has it open.
package filelock

import (
	"errors"
	"os"
	"syscall"
)

// Take says whether f is now ours alone: false, if somebody else has taken it. It is given back when f is closed, or the process ends in
// whatever way. Where there is no flock it always says yes.
func Take(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
