"""HTTP requests with a new connection each, bounded in count and time, and how they were answered.

As a program it is the client: `python traffic.py URL --count N` requests and prints one JSON object. As a
module it starts that program in a network namespace. The program uses the standard library only.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

REQUEST_TIMEOUT_S = 3.0
FAILURES_KEPT = 20
NAMESPACES = Path("/run/netns")


@dataclass
class Answers:
    """How many requests each server answered, and the others."""

    served: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    elapsed_s: float = 0.0

    @property
    def total(self) -> int:
        return self.served.total() + self.failed

    def add_failure(self, text: str) -> None:
        self.failed += 1
        if len(self.failures) < FAILURES_KEPT:
            self.failures.append(text)


@dataclass(frozen=True)
class Plan:
    """What the client is to do: it ends after ``count`` requests or ``limit_s``, whichever is first."""

    url: str
    count: int
    limit_s: float
    interval_s: float = 0.0

    def arguments(self) -> list[str]:
        bounds = [f"--count={self.count}", f"--limit-s={self.limit_s}", f"--interval-s={self.interval_s}"]
        return [self.url, *bounds]


class Client:
    """The client, running in a namespace until ``finish`` or its own bounds."""

    def __init__(self, namespace: str, plan: Plan) -> None:
        words = [
            "nsenter",
            f"--net={NAMESPACES / namespace}",
            "--",
            sys.executable,
            __file__,
            *plan.arguments(),
        ]
        self._limit_s = plan.limit_s
        # Without buffers, so that what follows the first line is left to communicate().
        self._process = subprocess.Popen(words, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self._process.stdout:
            self._process.stdout.readline()  # it can be asked to stop from here on

    def wait(self) -> Answers:
        """The answers, once the client has reached its bounds.

        Raises:
            RuntimeError: the client itself broke; the message is what it said.

        """
        try:
            out, err = self._process.communicate(timeout=self._limit_s + 2 * REQUEST_TIMEOUT_S + 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, err = self._process.communicate()
        if self._process.returncode != 0:
            raise RuntimeError(f"traffic client: status {self._process.returncode}: {err.decode()[-1000:]}")
        said = json.loads(out)
        return Answers(Counter(said["served"]), said["failed"], said["failures"], said["elapsed_s"])

    def finish(self) -> Answers:
        """Stop after the request under way."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait()


def requests_from(namespace: str, plan: Plan) -> Answers:
    """Do all of ``plan`` in the namespace."""
    return Client(namespace, plan).wait()


def send(plan: Plan, stop: threading.Event) -> Answers:
    """The requests themselves, one after another; at least one, so that having no failures says something."""
    answers = Answers()
    started = time.monotonic()
    while answers.total < plan.count:
        at_s = time.monotonic() - started
        if at_s > plan.limit_s:
            break
        try:
            answers.served[_ask(plan.url)] += 1
        except (OSError, http.client.HTTPException) as error:
            answers.add_failure(f"request {answers.total} at {at_s:.2f} s: {error!r}")
        if stop.wait(plan.interval_s):
            break
    answers.elapsed_s = round(time.monotonic() - started, 3)
    return answers


def _ask(url: str) -> str:
    """Who answered. Raises OSError or HTTPException, a status other than 200 included."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=REQUEST_TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/", headers={"Connection": "close"})
        reply = connection.getresponse()
        body = reply.read().decode().strip()
    finally:
        connection.close()
    if reply.status != 200:
        raise http.client.HTTPException(f"status {reply.status}: {body[:100]}")
    return body


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--limit-s", type=float, default=60.0)
    parser.add_argument("--interval-s", type=float, default=0.0)
    given = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print("begun", flush=True)
    answers = send(Plan(given.url, given.count, given.limit_s, given.interval_s), stop)
    print(json.dumps(vars(answers)))


if __name__ == "__main__":
    main()
