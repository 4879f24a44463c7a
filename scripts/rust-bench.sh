#!/usr/bin/env bash
# Builds bench/compare/rust, the child of the comparison on the published crate
# tari_comms 6.3.0-pre.2, and prints the path of the binary. It is built with
# all optimisations, other than the peer of the tests.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

src=$root/bench/compare/rust
work=$cache/rust/bench
bin=$work/bin/$(hash_of "$src/Cargo.toml" "$src/Cargo.lock" "$src/src" "$0")/tari-bench-modern
if [ -x "$bin" ]; then
	echo "$bin"
	exit 0
fi

need cargo "install Rust with rustup"
need protoc "apt-get install protobuf-compiler libprotobuf-dev"

mkdir -p "$work"
exec 9>"$work/lock"
flock 9
say "the Rust child of the comparison: building (the first time takes about ten minutes)"
CARGO_TARGET_DIR=$work/target cargo build --release --locked --manifest-path "$src/Cargo.toml" >"$work/build.log" 2>&1 || {
	tail -n 40 "$work/build.log" >&2
	die 1 "it does not build, see $work/build.log"
}
mkdir -p "$(dirname "$bin")"
cp "$work/target/release/tari-bench-modern" "$bin.tmp"
mv "$bin.tmp" "$bin"
echo "$bin"
