#!/usr/bin/env bash
# Formats the Go code in place; the format stage of scripts/test.sh checks it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

tools=$cache/tools/$(hash_of tools/go.mod tools/go.sum)-$(go env GOVERSION)
[ -x "$tools/golangci-lint" ] || die 3 "run scripts/test.sh prepare first"
exec "$tools/golangci-lint" fmt ./...
