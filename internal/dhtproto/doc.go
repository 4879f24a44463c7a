// Package dhtproto has the messages of the service t/dht/1, made by protoc from
// peers.proto. scripts/proto.sh makes them anew.
package dhtproto
