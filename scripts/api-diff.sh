#!/usr/bin/env bash
# Shows what has changed in the Go API since the last tag. It only tells: before 1.0 a minor version may change it.
#
#   scripts/api-diff.sh APIDIFF    the program, as scripts/test.sh builds it
set -euo pipefail
. "$(dirname "$0")/lib.sh"
apidiff=${1:?usage: scripts/api-diff.sh APIDIFF}
cd "$root"

tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null) || {
	echo "no tag yet: there is no API to compare with"
	exit
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
git -c advice.detachedHead=false clone -q "$root" "$tmp/then"
git -C "$tmp/then" checkout -q --detach "$tag"
"$apidiff" "$tmp/then" . >"$tmp/diff"
if [ -s "$tmp/diff" ]; then
	echo "since $tag:"
	cat "$tmp/diff"
else
	echo "the API is that of $tag"
fi
