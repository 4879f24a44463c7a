#!/usr/bin/env bash
# Makes the Go code of .proto files, beside them; go generate calls it. The
# generator is that of the protobuf module in go.mod.
#
#   scripts/protoc.sh FILE.proto…   paths from the repository's root
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

need protoc "apt-get install protobuf-compiler"
plugin=$(mktemp -d)
trap 'rm -rf "$plugin"' EXIT
go build -o "$plugin/" google.golang.org/protobuf/cmd/protoc-gen-go
PATH=$plugin:$PATH protoc --go_out=. --go_opt=paths=source_relative "$@"
