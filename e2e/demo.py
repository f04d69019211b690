"""`make demo`: from an empty machine to load-balanced traffic through a DPDK pod.

Ends with a status other than zero when any of what it shows is not so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
import traceback
from collections.abc import Iterator

import demo_steps as steps
from cluster import single_node
from cluster.owner import OtherCheckoutError
from cluster.paths import KUBECONFIG, LOGS, REPOSITORY
from lib.kube import Cluster, conditions_table
from lib.proc import CommandError
from lib.steps import step
from lib.traffic import Answers
from on_cluster import demo_on_cluster

BUILD_LOGS = REPOSITORY / "build" / "logs"
# What a step may raise when something is not as it should be; anything else is a fault of the demo itself.
FAILURES = (
    CommandError,
    TimeoutError,
    MemoryError,
    LookupError,
    RuntimeError,
    OSError,
    steps.DemoError,
    OtherCheckoutError,
)


class StepFailedError(Exception):
    """A step failed; its line and the path of its log are printed."""


@contextlib.contextmanager
def logged_step(name: str, title: str) -> Iterator[None]:
    """One line with the elapsed time; on failure what happened is in a log whose path is printed."""
    log = BUILD_LOGS / f"demo-{name}.log"
    try:
        with step(title):
            yield
    except FAILURES as error:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(traceback.format_exc() + getattr(error, "output", ""))
        print(f"{error}\nlog: {log}   logs of the cluster: {LOGS}", file=sys.stderr)
        raise StepFailedError(name) from error


def print_counts(answers: Answers) -> None:
    print(f"       {answers.total} requests in {answers.elapsed_s:.1f} s, {answers.failed} failed")
    for pod, count in sorted(answers.served.items()):
        print(f"       {count:6}  {pod}")


def print_state(cluster: Cluster) -> None:
    name = steps.name_of(steps.load_balancer())
    print(f"\n{cluster.kubectl('get', 'loadbalancers', '-A')}")
    print(conditions_table(cluster.conditions(steps.KIND, name)))
    print("\nthe forwarder pod's NIC, asked for as an SR-IOV virtual function is:")
    print(f"{steps.nic_shape(cluster)}\n")


def print_next() -> None:
    name = steps.name_of(steps.load_balancer())
    programs = steps.demo_cluster().kubectl_program.parent
    print(f"""
What to try next:
  export KUBECONFIG={KUBECONFIG} PATH={programs}:$PATH
  kubectl get loadbalancers,pods -o wide
  kubectl describe loadbalancer {name}
  kubectl scale deployment {steps.deployment_name()} --replicas=5
  kubectl exec {name}-skylane-0 -c forwarder -- \\
    skylane-fwd --query /run/skylane/control.sock '{{"command": "stats"}}'
  ip netns exec skylane-client python3 e2e/lib/traffic.py {steps.url()} --count 30   # the client outside
  make down                                          # end it; the host is left as it was""")


def demo() -> None:
    with logged_step("build", "programs and images"):
        steps.build_all()
    with logged_step("cluster", "single-node Kubernetes is up, images are in it"):
        steps.start_cluster()
    cluster = steps.demo_cluster()
    with logged_step("chart", "chart installed with Helm, operator is ready"):
        steps.install_chart(cluster)
    with logged_step("ready", "LoadBalancer of crds/examples/valid/demo.yaml is Ready"):
        steps.apply_example(cluster)
        steps.wait_for_load_balancer(cluster)
    with logged_step("requests", f"{steps.REQUESTS} requests from outside the cluster to {steps.url()}"):
        answers = steps.send_requests()
    print_counts(answers)
    print_state(cluster)
    with logged_step(
        "service", f"Service {steps.service_name()} of type LoadBalancer has an address and answers"
    ):
        answers = steps.send_requests(steps.REQUESTS // 3, steps.wait_for_service(cluster))
    print_counts(answers)
    with logged_step("scale", "backends scaled down by one and back while requests go on"):
        answers = steps.scale_under_load(cluster)
    print_counts(answers)
    print_next()


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--on-cluster", action="store_true", help="use the cluster of KUBECONFIG instead")
    given = parser.parse_args()
    started = time.monotonic()
    try:
        if given.on_cluster:
            return demo_on_cluster(os.environ)
        demo()
    except StepFailedError:
        _keep_pod_logs()
        return 1
    print(f"\ndemo passed in {time.monotonic() - started:.0f} s")
    return 0


def _keep_pod_logs() -> None:
    """What the operator and the forwarder pods said, if the cluster got as far as having any."""
    try:
        if single_node.is_up():
            for file in steps.logs_of(steps.demo_cluster(), BUILD_LOGS / "demo-pods"):
                print(f"pod log: {file}", file=sys.stderr)
    except CommandError as error:
        print(f"no pod logs: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
