#!/usr/bin/env bash
# Checks what makes the node a service of systemd: the unit must load without a warning, its exposure score stay below 1.5 of 10
# (lower is safer), and the line that makes its user must be one.
# Exit code 3: systemd-analyze is missing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
need systemd-analyze "Debian: apt-get install systemd"

unit=packaging/tari-libp2p.service
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# systemd-analyze wants to see the program, which is not installed here; what it says of a key it does not know leaves its exit code 0.
printf '#!/bin/sh\n' >"$tmp/tari-libp2p"
chmod +x "$tmp/tari-libp2p"
sed "s|/usr/local/bin/tari-libp2p|$tmp/tari-libp2p|" "$unit" >"$tmp/tari-libp2p.service"
said=$(systemd-analyze verify "$tmp/tari-libp2p.service" 2>&1) || die 1 "systemd-analyze verify: $said"
[ -z "$said" ] || die 1 "systemd-analyze verify: $said"

systemd-analyze security --offline=yes --threshold=15 --no-pager "$unit" >"$tmp/security" || {
	cat "$tmp/security"
	die 1 "$unit lets more through than it may"
}
tail -n 1 "$tmp/security"

systemd-sysusers --dry-run "$root/packaging/tari-libp2p.sysusers" >"$tmp/users" 2>&1 || die 1 "systemd-sysusers: $(cat "$tmp/users")"
