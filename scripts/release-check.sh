#!/usr/bin/env bash
# Builds the Linux archive of the last commit twice: as the caller would, and in another folder with an empty build cache, another umask
# and time zone. Both must be the same, be what SHA256SUMS says, tell their commit, and have man pages, completion and a valid SBOM. The first
# is signed, by a key of its own.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

target=linux/amd64
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
git -c advice.detachedHead=false clone -q "$root" "$tmp/once"
git -c advice.detachedHead=false clone -q "$root" "$tmp/a folder/again"

ssh-keygen -q -t ed25519 -N '' -f "$tmp/key"
(cd "$tmp/once" && go run ./internal/release -out "$tmp/first" -target $target -sign "$tmp/key")
echo "somebody $(cat "$tmp/key.pub")" >"$tmp/signers"
ssh-keygen -Y verify -f "$tmp/signers" -I somebody -n tari-libp2p-release -s "$tmp/first/SHA256SUMS.sig" <"$tmp/first/SHA256SUMS"
rm "$tmp/first/SHA256SUMS.sig"
grep -q "\"gitCommit\": \"$(git rev-parse HEAD)\"" "$tmp"/first/*.intoto.json || die 1 "the provenance does not tell the commit"
(cd "$tmp/a folder/again" && umask 077 && TZ=Asia/Tokyo GOCACHE=$tmp/cache go run ./internal/release -out "$tmp/second" -target $target)
for f in "$tmp"/first/*; do
	cmp "$f" "$tmp/second/$(basename "$f")" || die 1 "two builds of one commit differ"
done
(cd "$tmp/first" && sha256sum -c --quiet SHA256SUMS)

tar -C "$tmp" -xzf "$tmp"/first/*.tar.gz
"$tmp"/tari-libp2p_*/tari-libp2p version | tee "$tmp/version"
grep -q "commit $(git rev-parse HEAD)," "$tmp/version" || die 1 "the program does not tell its commit"
bash -n "$tmp"/tari-libp2p_*/completions/tari-libp2p.bash
mandoc -Tlint -Wwarning "$tmp"/tari-libp2p_*/man/*.1 || die 1 "the man pages are not well-formed"
grep -q "^.TH \"TARI-LIBP2P-RUN\" 1 \"$(TZ=UTC git log -1 --date=format-local:%F --format=%cd)\"" "$tmp"/tari-libp2p_*/man/tari-libp2p-run.1 || die 1 "a man page is not of the commit's day"
scripts/sbom-check.sh "$tmp"/first/*.cdx.json
