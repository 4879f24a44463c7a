#!/usr/bin/env bash
# Runs one fuzz target, or lists them.
#
#   scripts/fuzz.sh list            package and target, one a line
#   scripts/fuzz.sh PACKAGE TARGET  for FUZZTIME (default 10s)
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

if [ "${1:-}" = list ]; then
	grep -rE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*\(' . |
		sed -E 's|^(.*)/[^/]*_test\.go:func (Fuzz[A-Za-z0-9_]*)\(.*|\1 \2|' | sort
	exit
fi
[ $# = 2 ] || die 2 "scripts/fuzz.sh PACKAGE TARGET"

# Go's fuzzer can end a run in which nothing failed with "context deadline
# exceeded", when a worker is busy as the time runs out: such a run, without an
# input that failed, is done once more, five times at most.
for try in 1 2 3 4 5 6; do
	if out=$(go test -run '^$' -fuzz "^$2\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 10x -parallel 2 "$1" 2>&1); then
		printf '%s\n' "$out" | tail -n 2
		exit
	fi
	printf '%s\n' "$out"
	case $out in
	*"Failing input written"* | *panic:*) exit 1 ;;
	*"context deadline exceeded"*) say "no input failed; once more ($try)" ;;
	*) exit 1 ;;
	esac
done
exit 1
