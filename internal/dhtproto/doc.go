// Package dhtproto has the messages of the service t/dht/1, made by protoc from
// peers.proto.
package dhtproto

//go:generate ../../scripts/protoc.sh internal/dhtproto/peers.proto
