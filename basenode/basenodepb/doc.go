// Package basenodepb holds the messages of a base node's services, as
// protoc-gen-go makes them of basenode.proto. scripts/proto.sh makes them anew.
package basenodepb
