#!/usr/bin/env bash
# Every test, cheapest first. A step that fails ends the run, unless KEEP_GOING=1 is set; then the failures are named at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/steps.sh
PATH=$PATH:$PWD/.venv-tools/bin
export STEP_TAIL=80
failed=()

run() {
	step "$@" && return
	failed+=("$2")
	[ "${KEEP_GOING:-}" = 1 ] || finish
}

finish() {
	grep -hoE '[0-9]+ (passed|failed)' build/logs/pytest-*.log 2>/dev/null |
		awk '{n[$2] += $1} END {printf "%d passed, %d failed\n", n["passed"], n["failed"]}'
	[ ${#failed[@]} -eq 0 ] && exit 0
	printf 'FAILED: %s\n' "${failed[@]}"
	exit 1
}

# Called through step().
# shellcheck disable=SC2317
pytest() {
	uv run --frozen pytest "$@"
}

# shellcheck disable=SC2317
unit_tests() {
	meson test -C "$1" --suite unit --print-errorlogs
}

rm -f build/logs/pytest-*.log
run lint "static checks" tools/lint.sh
run build-forwarder "forwarder: gcc, clang, ASan + UBSan" tools/build-forwarder.sh all
for folder in fwd fwd-clang fwd-asan; do
	run "unit-$folder" "C unit tests: $folder" unit_tests "build/$folder"
done
run pytest-pure "unit and golden tests" pytest -m "not apiserver and not cluster" operator lb_image/agent lb_image/api crds charts e2e/lib
run pytest-packets "packet cases and random runs against the model" pytest lb_image/forwarder/tests/packets
run fuzz "fuzzing: packets, configuration, control socket, 60 s each" uv run --frozen --directory lb_image/forwarder/tests python -m fuzz
run callgrind "instructions per packet" uv run --frozen --directory lb_image/forwarder/tests python -m bench.callgrind
run pytest-live "forwarder on veth, bench harness" pytest lb_image/forwarder/tests/live lb_image/forwarder/tests/bench
run pytest-apiserver "operator and CRD against a real API server" pytest -m apiserver operator crds
run pytest-cluster "end to end on a real Kubernetes" pytest e2e/suites
finish
