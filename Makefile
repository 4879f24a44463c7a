.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: check
check: ## what to run before a commit: no Rust, no Tor, under five minutes
	scripts/test.sh format lint race deletion demo unit

.PHONY: test
test: ## every test on a fresh machine: installs and builds what it needs
	scripts/test.sh

.PHONY: test-long
test-long: ## the long tests, figures into docs/reliability.md; SLICE=book|limits|tor|soak|churn|node|fuzz|mutation for one
	scripts/test-long.sh $(SLICE)

.PHONY: bench-compare
bench-compare: ## against stock go-libp2p and the Rust crate, in turn in one run; about fifteen minutes, on a machine at rest
	rust=$$(scripts/rust-bench.sh) && seed=$$(scripts/rust-seed.sh) && cd bench/compare && go run . -rust "$$rust" -seed "$$seed" -json ../history/compare.jsonl

.PHONY: fmt
fmt: ## format the Go and Rust code
	scripts/test.sh prepare
	scripts/fmt.sh

.PHONY: build
build: ## build bin/tari-libp2p
	go build -o bin/ ./cmd/tari-libp2p

.PHONY: docs
docs: ## write docs/reference.md; man pages and the shells' completion into bin/share
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) go run -tags generate ./cmd/tari-libp2p -docs docs -share bin/share

.PHONY: release
release: ## build dist/: archives for all systems, lists of their parts, checksums; the same bytes each time; SIGN=KEYFILE for a signature
	go run ./internal/release -out dist $(if $(SIGN),-sign $(SIGN))

.PHONY: image
image: ## build the container image with docker, podman or buildah
	scripts/image.sh
