#!/usr/bin/env bash
# Runs the long tests, slice by slice, and writes what they measured into
# docs/reliability.md.
#
#   scripts/test-long.sh                 every slice
#   scripts/test-long.sh book tor        only these
#   scripts/test-long.sh list            the slices, each with a sentence
#
# A slice is a list of steps. A step that passed is not run again until the
# commit changes: a run that was cut short goes on where it was. A test tells
# what it measured by a line "row: what | target | measured"; the row of that
# name is replaced in docs/reliability.md, or added.
#
#   FRESH=1       runs everything again
#   FUZZTIME      time for each fuzz target (default 60s)
#   TARI_LIBP2P_CACHE, XDG_CACHE_HOME: where logs and marks are kept, see test.sh
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

slices=(book limits tor soak churn node fuzz mutation)
limit=45m # for a slice
table=docs/reliability.md

book_is="the peer book: killed a thousand times on each engine, a million claims, twenty minutes of deletes and bans"
book() {
	step kill 20m go test -v -count=1 -timeout 20m -run 'TestKill|TestStop' ./peerbook
	step pebble 20m go test -C peerbook/pebbletest -v -count=1 -timeout 20m ./...
	step model 30m go test -v -count=1 -timeout 30m -run 'TestAgainstModel|TestResurrection' ./peerbook
	step growth 30m go test -v -count=1 -timeout 30m -run TestGrowth ./peerbook
	step full 15m go test -v -count=1 -timeout 15m -run 'TestOpen50000|TestIdleWrites' ./peerbook
	step secrets 10m go test -v -count=1 -timeout 10m -run TestKilled ./internal/private
}

limits_is="strangers: held, slow, flooding and hostile connections at full size"
limits() {
	step load 40m go test -v -count=1 -timeout 40m ./internal/loadtest
	step flood 10m go test -v -count=1 -timeout 10m -run TestFloodLong ./messagingproto
	step ties 10m go test -v -count=1 -timeout 10m -run TestSimultaneousDials ./internal/hostile
}

tor_is="a private Tor network, taken away a hundred times"
tor() { step service 45m go test -v -tags interop -count=1 -timeout 45m -run TestService ./interop/tornet; }

soak_is="simulated worlds, a day under siege, links that go and come, links with delay and loss, and two hundred peers over such links"
soak() {
	step worlds 20m go test -v -count=1 -timeout 20m -run 'TestSimulation$' ./connectivity
	step eclipse 20m go test -v -count=1 -timeout 20m -run TestEclipse ./connectivity
	rust || return
	step links 10m go test -v -tags interop -count=1 -timeout 10m -skip TestSoak ./interop/netns
	step peers 40m go test -v -tags interop -count=1 -timeout 40m -run TestSoak ./interop/netns
}

churn_is="lives beside the real Rust peers, and every way to close"
churn() {
	rust || return
	step lives 30m env TARI_LIBP2P_CHURN=20m go test -v -tags interop -count=1 -timeout 30m -run TestChurn ./interop
	step closing 30m env TARI_LIBP2P_CLOSING_RUNS=50 go test -v -tags interop -count=1 -timeout 30m -run 'TestRustDisconnects|TestWeClose' ./interop
	step ties 15m env TARI_LIBP2P_CLOSING_RUNS=100 go test -v -tags interop -count=1 -timeout 15m -run TestSimultaneousDials ./interop
	step messages 10m go test -v -tags interop -count=1 -timeout 10m -run 'TestStoppedPeer|TestRateToRust' ./interop
	step idle 15m go test -v -tags interop -count=1 -timeout 15m -run TestSeedIdle ./interop
}

node_is="a whole base node of Tari without a network, which is read"
node() {
	TARI_LIBP2P_RUST_NODE=$(scripts/rust-node.sh) || {
		bad=1
		return
	}
	export TARI_LIBP2P_RUST_NODE
	step read 15m go test -v -tags interop -count=1 -timeout 15m -run 'TestBaseNode$' ./interop/netns
}

fuzz_is="every fuzz target for FUZZTIME each"
fuzz() {
	local pkg target n=0 before=$bad
	while read -r pkg target; do
		step "$(basename "$pkg")-$target" 10m env FUZZTIME="${FUZZTIME:-60s}" scripts/fuzz.sh "$pkg" "$target"
		n=$((n + 1))
	done < <(scripts/fuzz.sh list)
	[ "$bad" = "$before" ] && put_row "every fuzz target for ${FUZZTIME:-60s} | no input fails | $n targets, none failed"
}

mutation_is="mutants of the code that judges what strangers send: its tests notice 80 %"
mutation() {
	local package
	for package in wiremode tariproto identityproto; do
		step $package 10m scripts/mutants.sh $package
	done
	# Without the tests that look at the disk, or at dying processes: they take seconds, and judge nobody.
	step peerbook 15m env GOFLAGS='-skip=Kill|Damaged|Growth|LogOf|Migration|Manifest|Backup|Stop|Live' \
		scripts/mutants.sh peerbook merge.go record.go room.go candidates.go
	step messagingproto 15m scripts/mutants.sh messagingproto frames.go stream.go inbound.go
}

# ---- helpers ----------------------------------------------------------------

rust() {
	TARI_LIBP2P_RUST_MODERN=$(scripts/rust-modern.sh) && TARI_LIBP2P_RUST_SEED=$(scripts/rust-seed.sh) || {
		bad=1
		return 1
	}
	export TARI_LIBP2P_RUST_MODERN TARI_LIBP2P_RUST_SEED
}

marks=$cache/long/$(git describe --always --abbrev=12 --exclude '*')
bad=0

# step NAME LIMIT COMMAND...: runs a step of the slice unless it is done, within
# its own limit and what is left of the slice's.
step() {
	local name=$1 most=$2 log=$marks/$slice-$1.log
	shift 2
	if [ -e "$marks/$slice-$name.ok" ] && [ "${FRESH:-}" != 1 ]; then
		echo "    $name: done before, see $log"
		return
	fi
	local left=$((ends - SECONDS))
	if [ "$left" -lt 60 ]; then
		echo "    $name: no time left in this slice; run it again to go on"
		bad=1
		return
	fi
	echo "    $name: $*"
	local began=$SECONDS
	if TARI_LIBP2P_LONG=1 timeout "$(least "$most" "$left")" "$@" </dev/null >"$log" 2>&1 && ! grep -q '^ok.*\[no tests to run\]' "$log"; then
		: >"$marks/$slice-$name.ok"
		echo "    $name: passed in $((SECONDS - began)) s"
	else
		bad=1
		echo "    $name: FAILED after $((SECONDS - began)) s, see $log"
		tail -n 30 "$log"
	fi
	# What was measured is told, reached or not.
	while read -r row; do put_row "$row"; done < <(sed -nE 's/^.*row: (.* \| .* \| .*)$/\1/p' "$log")
}

# least MINUTES SECONDS: the lesser, in seconds.
least() {
	local a=$((${1%m} * 60))
	echo $((a < $2 ? a : $2))
}

# put_row "what | target | measured" replaces the row that begins with what, or
# adds one at the end of the table.
put_row() {
	local new
	new="| $1 | \`make test-long SLICE=$slice\` |"
	awk -v what="${1%% | *}" -v new="$new" '
		BEGIN { start = "| " what " |" }
		substr($0, 1, length(start)) == start { if (!put) print new; put = 1; next }
		/^\|/ { rows = 1 }
		rows && !/^\|/ && !put { print new; put = 1 }
		{ print }
		END { if (!put) print new }
	' "$table" >"$table.new" && mv "$table.new" "$table"
}

# ---- main -------------------------------------------------------------------

if [ "${1:-}" = list ]; then
	for slice in "${slices[@]}"; do
		is=${slice}_is
		printf '%-8s %s\n' "$slice" "${!is}"
	done
	exit
fi

chosen=("$@")
[ $# = 0 ] && chosen=("${slices[@]}")
for slice in "${chosen[@]}"; do
	is=${slice}_is
	[[ " ${slices[*]} " = *" $slice "* ]] || die 2 "no slice is called $slice; scripts/test-long.sh list shows them"
done

mkdir -p "$marks"
for slice in "${chosen[@]}"; do
	is=${slice}_is
	echo "=== $slice: ${!is}"
	ends=$((SECONDS + $(least "$limit" 100000)))
	"$slice"
done
[ "$bad" = 0 ] || die 1 "not all passed; rows are in $table, logs in $marks"
echo "all passed; rows are in $table, logs in $marks"
