#!/usr/bin/env bash
# Makes the Go code of the .proto files anew, with protoc-gen-go as go.mod pins
# it. Which protoc does not matter, but for its version in a comment.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need protoc "apt-get install protobuf-compiler"

cd "$root"
plugin=$(mktemp -d)
trap 'rm -rf "$plugin"' EXIT
go build -o "$plugin" google.golang.org/protobuf/cmd/protoc-gen-go
git ls-files -co --exclude-standard '*.proto' | while read -r file; do
	protoc --plugin="$plugin/protoc-gen-go" --go_out=. --go_opt=paths=source_relative "$file"
done
