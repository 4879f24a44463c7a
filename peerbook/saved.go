package peerbook

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Saved returns up to limit records of the book in a folder whose public key or
// node id, in hexadecimal, begins with prefix, without opening the book: it
// takes no lock, changes nothing and makes no folder. They are what they were
// when the book was last closed, or opened after a crash, and in no order; no
// removed ones. A folder without a book has none. When ctx ends, it returns
// what it has found so far with the context's error.
func Saved(ctx context.Context, dir, prefix string, limit int) ([]Record, error) {
	var found []Record
	wanted := func(key []byte) bool {
		return ctx.Err() != nil || strings.HasPrefix(hex.EncodeToString(key), prefix) || strings.HasPrefix(tarikey.NodeIDOf(key).String(), prefix)
	}
	err := eachInBackup(dir, wanted, func(r *Record) bool {
		if ctx.Err() == nil && len(found) < limit && r.Removed.IsZero() {
			found = append(found, *r)
		}
		return ctx.Err() == nil && len(found) < limit
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return found, errors.Join(err, ctx.Err())
}
