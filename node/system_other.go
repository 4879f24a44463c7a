//go:build !linux && !darwin

package node

func freeBytes(string) (uint64, bool) { return 0, false }

func openFileLimit() (uint64, bool) { return 0, false }
