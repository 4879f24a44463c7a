#!/usr/bin/env bash
# Generates the Go code of internal/pb from its .proto files with the system's
# protoc and the protoc-gen-go that tools/go.mod pins.
#
#   --check  changes nothing; fails if what is committed differs
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

need protoc "apt-get install protobuf-compiler"
tools=$cache/tools/$(hash_of tools/go.mod tools/go.sum)-$(go env GOVERSION)
if [ ! -x "$tools/protoc-gen-go" ]; then
	mkdir -p "$tools"
	go build -C tools -o "$tools/" google.golang.org/protobuf/cmd/protoc-gen-go
fi

mapfile -t protos < <(find internal/pb -name '*.proto' 2>/dev/null | LC_ALL=C sort)
[ ${#protos[@]} = 0 ] && exit 0

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
protoc --plugin=protoc-gen-go="$tools/protoc-gen-go" --proto_path=. --go_out="$out" --go_opt=paths=source_relative "${protos[@]}"

bad=0
while read -r f; do
	if [ "${1:-}" = --check ]; then
		# The version of protoc stands in a comment and may differ.
		diff -u -I '^//.*protoc  *v' "$f" "$out/$f" || bad=1
	else
		cp "$out/$f" "$f"
	fi
done < <(cd "$out" && find . -name '*.pb.go' | LC_ALL=C sort)
[ $bad = 0 ] || die 1 "generated code is out of date: run make generate"
