#!/usr/bin/env bash
# Makes the Go code of the .proto files anew, with protoc-gen-go as go.mod pins
# it. Which protoc does not matter, but for its version in a comment.
#
#   scripts/proto.sh        in place
#   scripts/proto.sh check  says what would change, and changes nothing
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need protoc "apt-get install protobuf-compiler"

cd "$root"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work" google.golang.org/protobuf/cmd/protoc-gen-go
mapfile -t files < <(git ls-files -co --exclude-standard '*.proto')
protoc --plugin="$work/protoc-gen-go" --go_out="$work" --go_opt=paths=source_relative "${files[@]}"

bad=0
for file in "${files[@]}"; do
	go=${file%.proto}.pb.go
	if [ "${1:-}" = check ]; then
		diff -u -I '^// 	protoc ' "$go" "$work/$go" || bad=1
	else
		cp "$work/$go" "$go"
	fi
done
exit $bad
