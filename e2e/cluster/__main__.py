"""`python -m cluster up|down|status|kubeconfig|exec`: a real single-node Kubernetes on this machine."""

from __future__ import annotations

import argparse
import os
import sys

from cluster import network, node, single_node
from cluster.owner import OtherCheckoutError
from cluster.paths import KUBECONFIG
from lib.net import inside
from lib.proc import CommandError


def _print_status() -> int:
    states = single_node.status()
    for name, state in states.items():
        print(f"{name:24} {state}")
    return 0 if single_node.is_up() else 1


def _exec(place: str, command: list[str]) -> int:
    """Become the command, in the node or in another namespace of the test network."""
    words = node.command_inside(*command) if place == "node" else [*inside(f"skylane-{place}"), *command]
    os.execvp(words[0], words)  # noqa: S606  no shell: the words are the user's own


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start it; what runs already stays")
    down = commands.add_parser("down", help="end it and leave the host as it was")
    down.add_argument("--force", action="store_true", help="also when another checkout started it")
    commands.add_parser("status", help="each part and its state; status 1 when not all is up")
    commands.add_parser("kubeconfig", help="print the path of the administrator's kubeconfig")
    run = commands.add_parser("exec", help="run a command in a namespace of the test network")
    places = [name.removeprefix("skylane-") for name in (network.NODE, network.ROUTER, network.CLIENT)]
    run.add_argument("place", choices=places)
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    if arguments.command == "kubeconfig":
        print(KUBECONFIG)
        return 0
    if os.geteuid() != 0:
        print("cluster: namespaces, mounts and cgroups need root", file=sys.stderr)
        return 1
    try:
        if arguments.command == "status":
            return _print_status()
        if arguments.command == "exec":
            return _exec(arguments.place, arguments.words)
        if arguments.command == "up":
            single_node.up()
        else:
            single_node.down(force=arguments.force)
    except (CommandError, TimeoutError, ProcessLookupError, MemoryError, OtherCheckoutError) as error:
        print(f"cluster {arguments.command}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
