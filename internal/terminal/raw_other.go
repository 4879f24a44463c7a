//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd)

package terminal

import (
	"errors"
	"os"
)

const canTakeOver = false

var resizeSignals []os.Signal

func makeRaw(*os.File) (back func(), err error) { return nil, errors.ErrUnsupported }
