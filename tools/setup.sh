#!/usr/bin/env bash
# Installs what is missing on a fresh Debian 12 machine, as root: Debian packages, Go, uv, the Python environment.
# Does nothing, quickly, when all is there. Each step prints one line; the log of a step that failed is named.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/steps.sh

readonly UV_VERSION=0.13.9
readonly GO_MIN=1.21 # from here on the go command fetches the tool chain that a go.mod asks for

debian_packages() {
	local missing=() package
	while read -r package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
	done <tools/packages.txt
	[ ${#missing[@]} -eq 0 ] && return
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
	stop_services
}

# Debian starts these when they are installed; the test cluster runs its own.
stop_services() {
	local service
	[ -d /run/systemd/system ] || return 0
	for service in bird etcd containerd; do
		systemctl disable --now "$service"
	done
}

go_is_new_enough() {
	local have
	have=$(go env GOVERSION 2>/dev/null) || return 1
	[ "$(printf '%s\n' "$GO_MIN" "${have#go}" | sort -V | head -n 1)" = "$GO_MIN" ]
}

go_toolchain() {
	go_is_new_enough && return
	local list=/etc/apt/sources.list.d/skylane-backports.list mirror
	# Debian 12's own Go is too old; its backports come from the mirror that the machine already uses.
	# Either file may be missing: cat then complains, which is no fault.
	mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } \
		| grep -v '^#' | grep -oE '[a-z+]+://[^ ]+/debian/?' | head -n 1)
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" >"$list"
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -t bookworm-backports golang-go
	go_is_new_enough
}

uv_tool() {
	command -v uv >/dev/null || [ -x .venv-tools/bin/uv ] && return
	python3 -m venv .venv-tools
	.venv-tools/bin/pip install --quiet "uv==$UV_VERSION"
}

python_environment() {
	PATH=$PATH:$PWD/.venv-tools/bin uv sync --frozen --quiet
}

[ "$(id -u)" = 0 ] || { echo "run me as root: packages, namespaces and hugepages need it" >&2; exit 1; }
step packages "Debian packages" debian_packages
step go "Go" go_toolchain
step uv "uv" uv_tool
step python "Python environment" python_environment
