package peerbook_test

import "os"

// long: the tests that take minutes are asked for.
func long() bool { return os.Getenv("TARI_LIBP2P_LONG") == "1" }
