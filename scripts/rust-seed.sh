#!/usr/bin/env bash
# Builds interop/rust/seed, the peer on the published crate tari_comms 0.8.1,
# and prints the path of the binary.
#
# That crate cannot be built by today's rustc: it uses feature gates that no
# longer exist. Debian bullseye's rustc 1.48 builds it unchanged, so the build
# runs in a bullseye chroot; the binary then runs outside it. Vendoring is done
# by today's cargo, because the old one cannot read today's registry index.
#
# Everything is cached under $TARI_LIBP2P_CACHE (default: the XDG cache
# folder). The first build takes about ten minutes on two cores.
#
#   TARI_LIBP2P_RUST_SEED      use this binary, build nothing
#   TARI_LIBP2P_DEBIAN_MIRROR  Debian mirror (default: the one apt uses)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

suite=bullseye
packages=rustc,cargo,gcc,g++,libc6-dev,protobuf-compiler,libprotobuf-dev,libssl-dev,pkg-config,make,ca-certificates,clang,libclang-dev,git

if [ -n "${TARI_LIBP2P_RUST_SEED:-}" ]; then
	echo "$TARI_LIBP2P_RUST_SEED"
	exit 0
fi

src=$root/interop/rust/seed
work=$cache/rust/seed
key=$(hash_of "$src/Cargo.toml" "$src/Cargo.lock" "$src/src" "$0")
bin=$work/bin/$key/tari-peer-seed
if [ -x "$bin" ]; then
	echo "$bin"
	exit 0
fi

mkdir -p "$work"
exec 9>"$work/lock"
flock 9
if [ -x "$bin" ]; then # another run built it meanwhile
	echo "$bin"
	exit 0
fi

[ "$(id -u)" = 0 ] || die 3 "the seed peer's build needs root for its chroot; run scripts/rust-seed.sh once as root, or set TARI_LIBP2P_RUST_SEED"
need cargo "install Rust with rustup"
need debootstrap "apt-get install debootstrap"

chroot=$work/chroot
if [ ! -e "$chroot/.ready" ] || [ "$(cat "$chroot/.ready")" != "$packages" ]; then
	say "seed peer: making the $suite chroot"
	rm -rf "$chroot"
	debootstrap --variant=minbase --include="$packages" "$suite" "$chroot" "$(debian_mirror)" >"$work/debootstrap.log" 2>&1 ||
		die 1 "debootstrap failed, see $work/debootstrap.log"
	# tari_comms' build script wants a rustfmt; what it formats is not kept.
	printf '#!/bin/sh\nexit 0\n' >"$chroot/usr/local/bin/rustfmt"
	chmod 755 "$chroot/usr/local/bin/rustfmt"
	echo "$packages" >"$chroot/.ready"
fi

say "seed peer: building (the first time takes about ten minutes)"
build=$chroot/build
mkdir -p "$build/src" "$build/.cargo"
cp "$src/Cargo.toml" "$src/Cargo.lock" "$build/"
rm -rf "$build/src"
cp -r "$src/src" "$build/src"

vendored=$(hash_of "$src/Cargo.lock")
if [ "$(cat "$build/vendor/.lock-hash" 2>/dev/null)" != "$vendored" ]; then
	rm -rf "$build/vendor"
	# --locked: one of the locked crates is yanked, only the lock file still gets it.
	cargo vendor --quiet --locked --manifest-path "$build/Cargo.toml" "$build/vendor" >/dev/null
	printf '[source.crates-io]\nreplace-with = "vendored-sources"\n[source.vendored-sources]\ndirectory = "vendor"\n' >"$build/.cargo/config"
	cp "$src/Cargo.lock" "$build/"
	echo "$vendored" >"$build/vendor/.lock-hash"
fi

# rustc wants /proc; it is mounted in a mount namespace that ends with the build.
# RUSTC_BOOTSTRAP: the crate uses features that 1.48 had only in nightly.
# shellcheck disable=SC2016
nice -n 10 unshare --mount sh -c 'mount -t proc proc "$1/proc" && exec chroot "$1" /usr/bin/env -i \
	PATH=/usr/local/bin:/usr/bin:/bin HOME=/root LANG=C.UTF-8 \
	RUSTC_BOOTSTRAP=1 CARGO_HOME=/build/.cargo-home \
	sh -c "cd /build && exec cargo build --release --offline"' sh "$chroot" >"$work/build.log" 2>&1 || {
	tail -n 40 "$work/build.log" >&2
	die 1 "the seed peer does not build, see $work/build.log"
}

mkdir -p "$(dirname "$bin")"
cp "$build/target/release/tari-peer-seed" "$bin.tmp"
mv "$bin.tmp" "$bin"
echo "$bin"
