#!/usr/bin/env bash
# Builds a whole Tari base node, the published program minotari_node
# 6.3.0-pre.2, and prints the path of the binary.
#
# It is built for the test networks (localnet is one of them), without Tor and
# without optimisations: it has to answer, not to be fast. RandomX alone is
# optimised.
#
# Everything is cached under $TARI_LIBP2P_CACHE (default: the XDG cache
# folder). The first build compiles more than six hundred crates.
#
#   TARI_LIBP2P_RUST_NODE  use this binary, build nothing
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ -n "${TARI_LIBP2P_RUST_NODE:-}" ]; then
	echo "$TARI_LIBP2P_RUST_NODE"
	exit 0
fi

version=6.3.0-pre.2
work=$cache/rust/node
bin=$work/bin/$(hash_of "$0")/minotari_node
if [ -x "$bin" ]; then
	echo "$bin"
	exit 0
fi

need cargo "install Rust with rustup"
need protoc "apt-get install protobuf-compiler libprotobuf-dev"
need cmake "apt-get install cmake g++"
need python3 "apt-get install python3"

mkdir -p "$work"
exec 9>"$work/lock"
flock 9

# The node shows its HTTP interface with Swagger UI, which its build would
# download. Nobody looks at it here: an empty one is enough.
ui=$work/swagger-ui
mkdir -p "$ui/dist"
: >"$ui/dist/swagger-initializer.js"
(cd "$work" && python3 -m zipfile -c swagger-ui.zip swagger-ui/)

say "base node: building (the first time takes about half an hour)"
unset TARI_TARGET_NETWORK
SWAGGER_UI_DOWNLOAD_URL=file://$work/swagger-ui.zip nice -n 10 cargo install minotari_node --version "$version" --locked --no-default-features \
	--config profile.release.opt-level=0 --config profile.release.codegen-units=16 --config profile.release.debug=false --config profile.release.lto=false \
	--config profile.release.package.randomx-rs.opt-level=3 \
	--force --no-track --root "$work/root" --target-dir "$work/target" >"$work/build.log" 2>&1 || {
	tail -n 40 "$work/build.log" >&2
	die 1 "the base node does not build, see $work/build.log"
}

mkdir -p "$(dirname "$bin")"
mv "$work/root/bin/minotari_node" "$bin"
echo "$bin"
