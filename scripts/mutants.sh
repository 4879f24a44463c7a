#!/usr/bin/env bash
# Changes a package in small ways, one at a time, and counts which of these
# mutants its tests notice. Fails if it is less than 80 % of those in code that
# tests run through. A mutant with which the tests do not end is counted apart.
#
#   scripts/mutants.sh PACKAGE            all files of the package
#   scripts/mutants.sh PACKAGE FILE...    only these
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

least=80 # percent
# Not in tools/go.mod: there it would bring golangci-lint another library for its configuration.
gremlins=github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0

[ $# -ge 1 ] || die 2 "scripts/mutants.sh PACKAGE [FILE...]"
package=${1#./}
shift
exclude=(--exclude-files /) # the packages below this one
for file in "$package"/*.go; do
	name=$(basename "$file")
	[ $# = 0 ] || [[ " $* " = *" $name "* ]] || exclude+=(--exclude-files "^${name//./\\.}\$")
done

# Gremlins works on copies of the tree. It has no flags for the tests; Go takes them from
# GOFLAGS. A result out of the cache would make the time allowed for a mutant short, and
# the long tests, which a slice asks for, take all of it.
unset TARI_LIBP2P_LONG
GOFLAGS="${GOFLAGS:-} -short -count=1" go run "$gremlins" unleash --workers 1 --timeout-coefficient 10 --invert-logical \
	--threshold-efficacy "$least" "${exclude[@]}" "./$package" | tee /dev/stderr | awk -v what="$package" -v least="$least" '
	/^Killed: / { killed = $2 + 0; lived = $4 + 0 }
	/^Timed out: / { hung = $3 + 0 }
	END {
		if (!(killed + lived)) exit 1
		percent = sprintf("%.0f", 100 * killed / (killed + lived))
		printf "row: mutants of %s that its tests notice | ≥ %d %% of those they run through | %s %%: %d of %d; %d more never ended\n",
			what, least, percent, killed, killed + lived, hung
	}'
