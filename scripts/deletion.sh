#!/usr/bin/env bash
# The deletion test: with every *seed*.go file gone, and the lines that a
# comment marks as the seed dialect's registration, everything else still
# builds. If it does not, the dialect has leaked out of its files.
#
# (*seeds.go is about peers to start from.)
#
# A registration line carries the comment "deletion test: seed".
#
# The same for plainlibp2p, which nobody has to link, and the option of run
# that uses it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do
	if [ -f "$f" ]; then
		printf '%s\0' "$f"
	fi
done | tar --null -cf - --files-from=- | tar -xf - -C "$copy"
cd "$copy"

mapfile -t gone < <(find . -name '*seed*.go' -not -name '*_test.go' -not -name '*seeds.go' | LC_ALL=C sort)
[ ${#gone[@]} != 0 ] || die 1 "no *seed*.go file found: the deletion test tests nothing"
rm "${gone[@]}"
mapfile -t marked < <(grep -rl --include='*.go' '// deletion test: seed' . | LC_ALL=C sort)
[ ${#marked[@]} = 0 ] || sed -i '\|// deletion test: seed|d' "${marked[@]}"

go build ./... || die 1 "without the seed dialect's files the rest does not build"
echo "deleted ${#gone[@]} files and the marked lines of ${#marked[@]}: the rest builds"

mapfile -t marked < <(grep -rl --include='*.go' '// deletion test: plainlibp2p' . | LC_ALL=C sort)
rm -r plainlibp2p cmd/tari-libp2p/plainlibp2p.go # and nothing else imports it
sed -i '\|// deletion test: plainlibp2p|d' "${marked[@]}"
go build ./... || die 1 "without plainlibp2p the rest does not build"
echo "deleted plainlibp2p, the option of run and its marked lines: the rest builds"
