#!/usr/bin/env bash
# Runs every check of this repository, or the stages named as arguments.
#
#   scripts/test.sh                 everything, on a fresh machine too
#   scripts/test.sh format lint     only these stages
#   scripts/test.sh list            the stages, each with a sentence
#
# Every stage runs even if one before it failed; the exit code is 1 if any did.
# With CI=true nothing is skipped: a peer that cannot be built is a failure.
#
#   TARI_LIBP2P_CACHE  where built tools and Rust peers are kept
#                      (default: ${XDG_CACHE_HOME:-~/.cache}/tari-libp2p)
#   FUZZTIME           time for each fuzz target (default 10s)
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

stages=(prepare format lint race test coverage bench modules deletion demo unit image release api alerts fuzz interop)

prepare_is="install what is missing, download the modules, build the Go tools"
prepare() {
	need go "https://go.dev/dl"
	apt_install protoc:protobuf-compiler /usr/include/google/protobuf/descriptor.proto:libprotobuf-dev debootstrap:debootstrap tor:tor nft:nftables ip:iproute2 systemd-analyze:systemd chromium:chromium \
		zsh:zsh fish:fish mandoc:mandoc /usr/share/bash-completion/bash_completion:bash-completion || return
	scripts/promtool.sh >/dev/null || [ "${CI:-}" != true ] || return
	go mod download || return
	build_tools
}

format_is="gofumpt, goimports, go mod tidy and protoc leave nothing to change"
format() {
	build_tools || return
	local bad=0 dir
	"$tools/golangci-lint" fmt --diff ./... || bad=1
	scripts/proto.sh check || bad=1
	for dir in . $(modules_beside); do
		(cd "$dir" && go mod tidy -diff) || bad=1
	done
	return $bad
}

lint_is="go vet and golangci-lint, interop's build tag included; go vet of the generator"
lint() {
	build_tools || return
	local bad=0 dir
	go vet -tags interop ./... && go vet -tags generate ./cmd/tari-libp2p || bad=1
	"$tools/golangci-lint" run --allow-parallel-runners --timeout 20m ./... || bad=1
	for dir in $(modules_beside); do
		(cd "$dir" && go vet -tags interop ./... && "$tools/golangci-lint" run --allow-parallel-runners --config "$root/.golangci.yml" --timeout 20m ./...) || bad=1
	done
	return $bad
}

race_is="all Go tests with the race detector, in random order"
race() { go test -race -shuffle=on -timeout 20m -p 2 ./...; }

test_is="without the race detector: the packages whose tests count allocations or memory"
test() {
	local packages
	packages=$(grep -rlE --include='*_test.go' '^//go:build .*!race' . | xargs -r -n1 dirname | sort -u)
	[ -n "$packages" ] || return 0
	# shellcheck disable=SC2086
	go test -shuffle=on -timeout 20m -p 1 $packages
}

coverage_is="the short tests run through 85 % of the statements of each package that speaks with strangers"
coverage() {
	local wire=(wiremode noise identityproto tariproto yamux messagingproto rpc dialect tarikey torsocks torctl peersync basenode seeds pipeline crawl)
	go test -short -cover -timeout 5m -p 2 "${wire[@]/#/./}" | awk -v least=85 '
		{ print }
		!match($0, /coverage: [0-9.]+%/) { next }
		{ n++; if (substr($0, RSTART + 10) + 0 < least) { print "below " least " %: " $2; low = 1 } }
		END { exit low || !n }'
}

bench_is="every benchmark once: they still work"
bench() {
	# shellcheck disable=SC2046
	go test -run '^$' -bench . -benchtime 1x -short -timeout 20m -p 1 $(grep -rl --include='*_test.go' '^func Benchmark' . --exclude-dir=examples --exclude-dir=bench | xargs -n1 dirname | sort -u)
}

modules_is="the modules beside the main one (examples, the status page in a browser): build, test"
modules() {
	local bad=0 dir
	for dir in $(modules_beside); do
		(cd "$dir" && go build ./... && go test -race -shuffle=on -timeout 20m ./...) || bad=1
	done
	return $bad
}

deletion_is="the seed dialect, and plainlibp2p, can be deleted: nothing but their files knows them"
deletion() { scripts/deletion.sh; }

demo_is="the newcomer's first minute: the demo command exits 0"
demo() { go run ./cmd/tari-libp2p demo; }

unit_is="the systemd unit loads without a warning, and lets little through"
unit() {
	if [ "${CI:-}" != true ] && ! command -v systemd-analyze >/dev/null; then
		say "not checked: systemd-analyze is missing (Debian: apt-get install systemd)"
		return
	fi
	scripts/unit.sh
}

image_is="the container image builds, and its health check sees the node in it"
image() {
	if [ "${CI:-}" != true ] && ! command -v buildah >/dev/null; then
		say "not built: buildah is missing (Debian: apt-get install buildah)"
		return
	fi
	apt_install buildah:buildah || return
	scripts/image-check.sh
}

alerts_is="promtool judges the alert rules and the dashboard's queries, and runs the rules' unit tests"
alerts() {
	local promtool
	if ! promtool=$(scripts/promtool.sh); then
		[ "${CI:-}" != true ] || return
		say "skipped: without promtool nobody has judged packaging/prometheus"
		return 0
	fi
	TARI_LIBP2P_PROMTOOL=$promtool go test -count=1 -run TestRules ./metrics
}

release_is="an archive built twice has the same bytes, and a valid list of its parts"
release() {
	apt_install ssh-keygen:openssh-client || return
	python3 -c 'import ensurepip' 2>/dev/null || apt_install python3:python3 python3-venv:python3-venv || return
	apt_install mandoc:mandoc || return
	scripts/release-check.sh
}

api_is="what has changed in the Go API since the last tag (it only tells)"
api() { build_tools && scripts/api-diff.sh "$tools/apidiff"; }

fuzz_is="every fuzz target for FUZZTIME each"
fuzz() {
	local bad=0 pkg target
	while read -r pkg target; do
		say "--- $pkg $target"
		scripts/fuzz.sh "$pkg" "$target" || bad=1
	done < <(scripts/fuzz.sh list)
	return $bad
}

interop_is="the real Rust peers of both eras against our host"
interop() {
	local bad=0 bin
	if bin=$(scripts/rust-modern.sh); then
		export TARI_LIBP2P_RUST_MODERN=$bin
	else
		[ "${CI:-}" = true ] && bad=1
	fi
	if bin=$(scripts/rust-seed.sh); then
		export TARI_LIBP2P_RUST_SEED=$bin
	else
		[ "${CI:-}" = true ] && bad=1
	fi
	# One package after the other: some of them hold Tor and the kernel to their times.
	go test -race -tags interop -count=1 -p 1 -timeout 30m ./interop/... || bad=1
	(cd examples && go test -race -tags interop -count=1 -run Rust ./libp2p) || bad=1
	return $bad
}

# ---- helpers ----------------------------------------------------------------

# modules_beside: the folders of the other Go modules, tools excepted.
modules_beside() {
	find . -name go.mod -not -path ./go.mod -not -path './tools/*' -not -path '*/target/*' -exec dirname {} \; | sort
}

tools=$cache/tools/$(hash_of tools)-$(go env GOVERSION 2>/dev/null)
build_tools() {
	[ -x "$tools/golangci-lint" ] && [ -x "$tools/apidiff" ] && return
	say "building the Go tools (the first time takes a few minutes)"
	mkdir -p "$tools"
	go build -C tools -o "$tools/" tool
}

# apt_install COMMAND-OR-FILE:PACKAGE...: installs the packages whose command
# or file is not there.
apt_install() {
	local pair missing=()
	for pair in "$@"; do
		local what=${pair%:*}
		if [ "${what#/}" != "$what" ]; then
			[ -e "$what" ] || missing+=("${pair#*:}")
		else
			command -v "$what" >/dev/null || [ -x "/usr/sbin/$what" ] || missing+=("${pair#*:}")
		fi
	done
	[ ${#missing[@]} = 0 ] && return
	local sudo=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || {
			say "error: missing ${missing[*]}; install them as root: apt-get install ${missing[*]}"
			return 1
		}
		sudo=sudo
	fi
	command -v apt-get >/dev/null || {
		say "error: missing ${missing[*]} (Debian's names); install them with your system's package manager"
		return 1
	}
	say "installing ${missing[*]}"
	$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# ---- main -------------------------------------------------------------------

if [ "${1:-}" = list ]; then
	for stage in "${stages[@]}"; do
		is=${stage}_is
		printf '%-10s %s\n' "$stage" "${!is}"
	done
	exit
fi

chosen=("$@")
[ $# = 0 ] && chosen=("${stages[@]}")
for stage in "${chosen[@]}"; do
	is=${stage}_is
	[ -n "${!is:-}" ] || die 2 "no stage is called $stage; scripts/test.sh list shows them"
done

table=()
failed=()
for stage in "${chosen[@]}"; do
	echo "=== $stage: $(is=${stage}_is && echo "${!is}")"
	began=$SECONDS
	if "$stage"; then
		word=ok
	else
		word=FAILED
		failed+=("$stage")
	fi
	table+=("$(printf '%-10s %-7s %5d s' "$stage" "$word" $((SECONDS - began)))")
done

echo
echo "=== summary"
printf '%s\n' "${table[@]}"
if [ ${#failed[@]} != 0 ]; then
	echo "failed: ${failed[*]}"
	exit 1
fi
echo "all stages passed in $SECONDS s"
