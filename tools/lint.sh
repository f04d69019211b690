#!/usr/bin/env bash
# Every static check; with the argument "fix" what can be mended is mended.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/steps.sh
PATH=$PATH:$PWD/.venv-tools/bin

c_files() {
	git ls-files 'lb_image/forwarder/*.c' 'lb_image/forwarder/*.h'
}

clang_format() {
	c_files | xargs clang-format --style=file "$@"
}

sizes() {
	local file lines max status=0
	while read -r file; do
		case $file in *.c | *.h) max=600 ;; *) max=400 ;; esac
		lines=$(wc -l <"$file")
		[ "$lines" -le "$max" ] || { echo "$file: $lines lines, at most $max"; status=1; }
	done < <(git ls-files '*.py' '*.c' '*.h' | grep -v _pb2)
	return $status
}

if [ "${1:-}" = fix ]; then
	uv run --frozen ruff check --fix
	uv run --frozen ruff format
	clang_format -i
fi
step ruff "ruff" uv run --frozen ruff check
step ruff-format "ruff format" uv run --frozen ruff format --check
step mypy "mypy --strict" uv run --frozen mypy
step imports "import contract" uv run --frozen lint-imports
step clang-format "clang-format" clang_format --dry-run -Werror
step shellcheck "shellcheck" shellcheck -x tools/*.sh
step sizes "file sizes" sizes
