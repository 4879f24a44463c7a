# Shared by the scripts beside it; sourced, not run.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${TARI_LIBP2P_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tari-libp2p}

say() { echo "$*" >&2; }

# die CODE MESSAGE
die() {
	say "error: $2"
	exit "$1"
}

# need COMMAND HOW-TO-GET-IT
need() { command -v "$1" >/dev/null || die 3 "$1 is missing: $2"; }

# hash_of FILE-OR-FOLDER...: one hash over contents and names.
hash_of() {
	find "$@" -type f | LC_ALL=C sort | while read -r f; do
		echo "$(basename "$f")"
		cat "$f"
	done | sha256sum | cut -c1-16
}

# debian_mirror: the Debian mirror that apt is configured with.
debian_mirror() {
	if [ -n "${TARI_LIBP2P_DEBIAN_MIRROR:-}" ]; then
		echo "$TARI_LIBP2P_DEBIAN_MIRROR"
		return
	fi
	local uri
	uri=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(COMPONENT) $(CREATED_BY) $(CODENAME)' 2>/dev/null |
		awk '$2 == "Debian" && $3 == "main" && $4 == "Packages" && $5 !~ /-/ { print $1; exit }')
	[ -n "$uri" ] || die 3 "no Debian mirror in apt's configuration: run apt-get update, or set TARI_LIBP2P_DEBIAN_MIRROR"
	echo "$uri"
}
