//go:build interop

package interop

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/tari-libp2p/tari-libp2p/interop/pattern"
)

// What the Rust programs compute too.
var (
	newPattern     = pattern.New
	patternMessage = pattern.Message
)

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
