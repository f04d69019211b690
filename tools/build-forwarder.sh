#!/usr/bin/env bash
# Builds the forwarder: build/fwd (gcc), and with the argument "all" also build/fwd-asan (gcc, ASan + UBSan) and
# build/fwd-clang.
set -euo pipefail
cd "$(dirname "$0")/.."

build() {
	local folder=$1 compiler=$2
	shift 2
	[ -f "$folder/build.ninja" ] || CC=$compiler meson setup "$folder" lb_image/forwarder "$@"
	ninja -C "$folder"
}

build build/fwd gcc
[ "${1:-}" = all ] || exit 0
build build/fwd-asan gcc -Db_sanitize=address,undefined -Db_lundef=false
build build/fwd-clang clang
