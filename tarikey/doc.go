// Package tarikey holds the keys of Tari's peers: Ristretto255 key pairs, the
// 13-byte node ids derived from them, Tari's domain-separated hashing and its
// Schnorr signatures.
//
// Start with GenerateKey or SecretKeyFromHex for a node's own key, and with
// ParsePublicKey or PublicKeyFromHex for everybody else's. A PublicKey that
// came out of a parser is canonical and never the identity point, so code
// behind it need not check again. A SecretKey never shows up in logs, in
// fmt's verbs or in JSON; Bytes is the only way out.
//
// Importing the package registers KeyType with go-libp2p, so that peer ids,
// public keys and node ids are pure functions of each other.
package tarikey
