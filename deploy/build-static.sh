#!/bin/sh
# Builds the static binary of the image into a folder: deploy/build-static.sh OUT
#
# Reproducible: the same source in the same folder (the Dockerfile's is /src) with the same toolchain
# and C compiler gives the same bytes. No path of the machine is left in it, and no time.
# Needs the Rust target for musl and a C compiler for it (Debian: musl-tools; Alpine: musl-dev).
set -eu
out="$1"
cd "$(dirname "$0")/.."
target="$(uname -m)-unknown-linux-musl"
cargo_home="${CARGO_HOME:-$HOME/.cargo}"
target_dir="${CARGO_TARGET_DIR:-target}"

export CARGO_INCREMENTAL=0
export CARGO_TARGET_DIR="$target_dir"
export RUSTFLAGS="-C target-feature=+crt-static \
  --remap-path-prefix=$PWD=/src --remap-path-prefix=$cargo_home=/cargo"
export CFLAGS="-ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$PWD=/src"
cargo build --release --locked --target "$target" --package phone-migration-operator --bin phone-migration-operator

mkdir -p "$out"
install -m 0755 "$target_dir/$target/release/phone-migration-operator" "$out/"
