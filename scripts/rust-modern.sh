#!/usr/bin/env bash
# Builds interop/rust/modern, the peer on the published crate tari_comms
# 6.3.0-pre.2, and prints the path of the binary.
#
# Everything is cached under $TARI_LIBP2P_CACHE (default: the XDG cache
# folder). The first build takes about five minutes on two cores.
#
#   TARI_LIBP2P_RUST_MODERN  use this binary, build nothing
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ -n "${TARI_LIBP2P_RUST_MODERN:-}" ]; then
	echo "$TARI_LIBP2P_RUST_MODERN"
	exit 0
fi

src=$root/interop/rust/modern
work=$cache/rust/modern
key=$(hash_of "$src/Cargo.toml" "$src/Cargo.lock" "$src/src" "$0")
bin=$work/bin/$key/tari-peer-modern
if [ -x "$bin" ]; then
	echo "$bin"
	exit 0
fi

need cargo "install Rust with rustup"
need protoc "apt-get install protobuf-compiler libprotobuf-dev"

mkdir -p "$work"
exec 9>"$work/lock"
flock 9

# The target folder outlives a change of our sources, so that only our own
# small program is built again.
say "modern peer: building (the first time takes about five minutes)"
CARGO_TARGET_DIR=$work/target nice -n 10 cargo build --release --locked --manifest-path "$src/Cargo.toml" >"$work/build.log" 2>&1 || {
	tail -n 40 "$work/build.log" >&2
	die 1 "the modern peer does not build, see $work/build.log"
}

mkdir -p "$(dirname "$bin")"
cp "$work/target/release/tari-peer-modern" "$bin.tmp"
mv "$bin.tmp" "$bin"
echo "$bin"
