"""A cluster by its kubeconfig, through kubectl and helm: what the demo and the suites ask of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.proc import CommandError, run, wait_until


@dataclass(frozen=True)
class Cluster:
    """Programs and the kubeconfig that they use."""

    kubectl_program: Path
    helm_program: Path
    kubeconfig: Path

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, timeout_s: float = 120) -> str:
        """Output of kubectl. Raises CommandError with what it said."""
        words = (self.kubectl_program, f"--kubeconfig={self.kubeconfig}", *arguments)
        return run(*words, stdin=stdin, timeout_s=timeout_s)

    def helm(self, *arguments: str | Path, timeout_s: float = 300) -> str:
        """Output of helm. Raises CommandError with what it said."""
        return run(self.helm_program, f"--kubeconfig={self.kubeconfig}", *arguments, timeout_s=timeout_s)

    def read(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """One object. Raises CommandError when it is not there."""
        return dict(json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json")))

    def read_all(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        """The objects of a kind; ``arguments`` choose namespace and labels."""
        return list(json.loads(self.kubectl("get", kind, "-o", "json", *arguments))["items"])

    def conditions(self, kind: str, name: str, namespace: str = "default") -> dict[str, dict[str, Any]]:
        """The conditions of an object by type, those only that speak of its present generation."""
        found = self.read(kind, name, namespace)
        generation = found["metadata"]["generation"]
        listed = found.get("status", {}).get("conditions", [])
        return {c["type"]: c for c in listed if c.get("observedGeneration", generation) == generation}

    def wait_ready(self, kind: str, name: str, timeout_s: float, namespace: str = "default") -> None:
        """Wait for the condition Ready=True.

        Raises:
            TimeoutError: it did not come; the message holds every condition that is not True.

        """

        def ready() -> bool:
            return self.conditions(kind, name, namespace).get("Ready", {}).get("status") == "True"

        try:
            wait_until(ready, f"{kind} {namespace}/{name} to be Ready", timeout_s, interval_s=0.3)
        except TimeoutError as late:
            conditions = self.conditions(kind, name, namespace)
            raise TimeoutError(f"{late}\n{conditions_table(conditions)}") from late

    def refusal(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl says when it must fail. Raises AssertionError when it succeeds."""
        try:
            self.kubectl(*arguments, stdin=stdin)
        except CommandError as error:
            return str(error)
        raise AssertionError(f"kubectl {' '.join(arguments)} was to be refused and was not")

    def answers(self, *arguments: str) -> bool:
        """Whether kubectl succeeds; for questions only."""
        try:
            self.kubectl(*arguments)
        except CommandError:
            return False
        return True


def conditions_table(conditions: dict[str, dict[str, Any]]) -> str:
    """Conditions for people, one a line."""
    rows = [
        f"{c['type']:20} {c['status']:8} {c['reason']:20} {c.get('message', '')}" for c in conditions.values()
    ]
    return "\n".join(rows) if rows else "(no conditions yet)"
