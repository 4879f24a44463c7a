#!/usr/bin/env bash
# Prints the path of promtool: the one that is installed, or else that of the
# system's package, out of which it is taken alone. Installing the whole
# package would start a Prometheus, and bring a web page's worth of fonts.
#
#   TARI_LIBP2P_CACHE  where it is kept
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if command -v promtool; then
	exit
fi
promtool=$cache/promtool/promtool
if [ ! -x "$promtool" ]; then
	for tool in apt-get dpkg-deb; do
		need "$tool" "install Prometheus' promtool with your system's package manager"
	done
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	download() { (cd "$work" && apt-get -qq download prometheus 2>"$work/log"); }
	say "taking promtool out of the system's package (19 MB)"
	if ! download; then
		# A fresh machine knows of no packages yet.
		if [ "$(id -u)" = 0 ]; then
			apt-get update -qq
		else
			sudo -n apt-get update -qq || die 3 "apt knows of no package prometheus; as root: apt-get update"
		fi
		download || die 3 "no package prometheus: $(tail -1 "$work/log")"
	fi
	dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -xO ./usr/bin/promtool >"$work/promtool"
	chmod +x "$work/promtool"
	"$work/promtool" --version >/dev/null 2>&1 || die 3 "the package's promtool does not run here"
	mkdir -p "$(dirname "$promtool")"
	mv "$work/promtool" "$promtool"
fi
echo "$promtool"
