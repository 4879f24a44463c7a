#!/usr/bin/env bash
# Builds the image tari-libp2p:latest with the first of docker, podman and buildah that can, or with the command given. Exit code 3: none can.
#
#   scripts/image.sh [buildah OPTION...]
#
#   GOARCH  of the program (default: this machine's)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

builder() {
	if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
		echo docker build
	elif command -v podman >/dev/null; then
		echo podman build --format docker
	elif command -v buildah >/dev/null; then
		echo buildah build --format docker # the other format has no health check
	else
		die 3 "not built: no docker daemon, podman or buildah here (Debian: apt-get install buildah)"
	fi
}

if [ $# = 0 ]; then
	build=$(builder)
else
	build="$* build --format docker"
fi
certificates=/etc/ssl/certs/ca-certificates.crt
[ -s "$certificates" ] || die 3 "no certificates for the image in $certificates (Debian: apt-get install ca-certificates)"
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
CGO_ENABLED=0 GOOS=linux go build -trimpath -ldflags="-s -w" -o "$context/tari-libp2p" ./cmd/tari-libp2p
cp "$certificates" "$context/"
mkdir -m 0700 "$context/data"
$build -f packaging/Dockerfile -t tari-libp2p:latest "$context"
