#!/usr/bin/env bash
# Builds the image with buildah, starts a node in it as a container engine would, and asks it by the health check.
#
# Storage is a folder of its own, which is removed: the caller's images stay as they are.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
need buildah "Debian: apt-get install buildah"

tmp=$(mktemp -d)
# Without a daemon, a kernel module or a second user: layers are plain folders, and the container is a chroot.
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
storage=(--root "$tmp/storage" --runroot "$tmp/run")
ended() {
	[ -z "${node:-}" ] || kill "$node" 2>/dev/null || true
	[ -z "${node:-}" ] || wait "$node" 2>/dev/null || true
	buildah "${storage[@]}" rm --all >/dev/null 2>&1 || true
	rm -rf "$tmp"
}
trap ended EXIT

scripts/image.sh buildah "${storage[@]}"
image=localhost/tari-libp2p:latest
has() { buildah "${storage[@]}" inspect --type image "$image" | grep -q "$1" || die 1 "the image has no $1"; }
has '"User": "65532:65532"'
has '"/tari-libp2p"'
has '"status"'

box=$(buildah "${storage[@]}" from --pull-never "$image")
buildah "${storage[@]}" run "$box" -- /tari-libp2p version
buildah "${storage[@]}" run "$box" -- /tari-libp2p run --no-dns-seeds --listen /ip4/127.0.0.1/tcp/0 >"$tmp/said" 2>&1 &
node=$!
for ((i = 0; i < 300; i++)); do
	grep -q 'running; Ctrl-C' "$tmp/said" && break
	kill -0 "$node" 2>/dev/null || break
	sleep 0.1
done
buildah "${storage[@]}" run "$box" -- /tari-libp2p status | tee "$tmp/status"
grep -q '^node *running for' "$tmp/status" || {
	cat "$tmp/said" >&2
	die 1 "the health check does not see the node"
}
