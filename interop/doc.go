// Package interop holds the tests that put our host beside the real Rust crate
// of both eras. The peers are small programs of ours on the published crates
// (rust/modern on tari_comms 6.3.0-pre.2, rust/seed on 0.8.1), built by
// scripts/rust-modern.sh and scripts/rust-seed.sh and driven by JSON lines.
//
// The tests carry the build tag "interop":
//
//	scripts/test.sh interop
//
// or, with the binaries named in TARI_LIBP2P_RUST_MODERN and
// TARI_LIBP2P_RUST_SEED, go test -tags interop ./interop/.
//
// TARI_LIBP2P_CHURN=20m and TARI_LIBP2P_CLOSING_RUNS=100 make TestChurn and the
// tests of closing and of simultaneous dials longer than every change allows.
package interop
