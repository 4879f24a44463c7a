package peerbook

import (
	"encoding/hex"

	ds "github.com/ipfs/go-datastore"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Every key of the store:
//
//	/tari/schema        the number of this layout, in decimal
//	/tari/peer/<key>    a record; <key> is the public key in hexadecimal
//	/tari/aside/<name>  a record that did not decode, as it was; <name> is what
//	                    stood behind /tari/peer/, in hexadecimal
//
// Layout 1 had records of version 1.
const (
	schemaVersion = "2"
	oldSchema     = "1"
)

var (
	schemaKey   = ds.NewKey("/tari/schema")
	peerPrefix  = ds.NewKey("/tari/peer")
	asidePrefix = ds.NewKey("/tari/aside")
)

func peerKey(key tarikey.PublicKey) ds.Key { return peerPrefix.ChildString(key.String()) }

// parsePeerKey is the inverse of peerKey.
func parsePeerKey(key string) (tarikey.PublicKey, error) {
	return tarikey.PublicKeyFromHex(peerName(key))
}

func asideKey(key string) ds.Key {
	return asidePrefix.ChildString(hex.EncodeToString([]byte(peerName(key))))
}

func peerName(key string) string {
	if prefix := peerPrefix.String() + "/"; len(key) > len(prefix) {
		return key[len(prefix):]
	}
	return key
}
