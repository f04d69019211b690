"""The chart as real Helm renders, packs and checks it. `make golden` rewrites the golden renders."""

import os
import tarfile
from pathlib import Path

import pytest
import yaml

from cluster import gotools
from lib.proc import CommandError, run

CHART = Path(__file__).resolve().parents[1]
CRDS = sorted((CHART.parents[1] / "crds").glob("*.yaml"))
CASES = sorted(file.stem for file in (CHART / "tests" / "values").glob("*.yaml"))
# Helm renders for the version that it was told; without a cluster it knows none.
RELEASE = ("skylane", CHART, "--namespace", "skylane-system", "--kube-version", "1.36.0")


def rendered(*options: str | Path) -> str:
    return run(gotools.helm(), "template", *RELEASE, *options)


@pytest.mark.parametrize("case", CASES)
def test_render_is_the_golden_one(case: str) -> None:
    golden = CHART / "tests" / "golden" / f"{case}.yaml"
    text = rendered("--values", CHART / "tests" / "values" / f"{case}.yaml")
    if os.environ.get("GOLDEN") == "rewrite":
        golden.write_text(text)
    assert text == golden.read_text()


def test_lint_is_silent() -> None:
    said = run(gotools.helm(), "lint", "--strict", CHART)
    assert "0 chart(s) failed" in said


def test_crds_of_the_chart_are_the_same_files() -> None:
    """They are symbolic links; Helm follows them when it installs and when it packs."""
    documents = list(yaml.safe_load_all(rendered("--include-crds")))
    definitions = [each for each in documents if each["kind"] == "CustomResourceDefinition"]
    assert definitions == [yaml.safe_load(crd.read_text()) for crd in CRDS]


def test_package_holds_the_crds_themselves(tmp_path: Path) -> None:
    run(gotools.helm(), "package", CHART, "--destination", tmp_path)
    with tarfile.open(next(tmp_path.glob("skylane-*.tgz"))) as package:
        for crd in CRDS:
            packed = package.extractfile(f"skylane/crds/{crd.name}")
            assert packed is not None
            assert packed.read() == crd.read_bytes()
        assert not [name for name in package.getnames() if "/tests/golden/" in name]


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("operator.logLevel=CHATTY", "at '/operator/logLevel'"),
        ("operator.image.pullPolicy=Sometimes", "at '/operator/image/pullPolicy'"),
        ("operator.image.repository=", "at '/operator/image/repository'"),
        ("operator.watchNamespaces={Not_A_Name}", "at '/operator/watchNamespaces/0'"),
        ("networkPolicy.enabled=maybe", "at '/networkPolicy/enabled'"),
        ("operator.replicas=0", "at '/operator/replicas'"),
        ("operator.replica=2", "at '/operator': additional properties 'replica'"),
    ],
)
def test_wrong_value_is_refused_by_name(setting: str, named: str) -> None:
    with pytest.raises(CommandError, match=named):
        rendered("--set", setting)


def test_operator_pod_meets_the_restricted_level() -> None:
    documents = yaml.safe_load_all(rendered())
    pod = next(each for each in documents if each["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_network_policy_lets_in_agents_and_the_ports_that_the_pod_has() -> None:
    documents = [each for each in yaml.safe_load_all(rendered()) if each]
    pod = next(each for each in documents if each["kind"] == "Deployment")["spec"]["template"]
    policy = next(each for each in documents if each["kind"] == "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    opened = {port["port"]: rule.get("from") for rule in policy["ingress"] for port in rule["ports"]}
    assert opened.keys() == {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    agents = {
        "namespaceSelector": {},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "skylane-lb"}},
    }
    assert agents in opened["agents"]
    assert "NetworkPolicy" not in rendered("--set", "networkPolicy.enabled=false")


def test_helm_test_is_let_in_by_the_network_policy() -> None:
    options = ("--set", "networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus")
    documents = [each for each in yaml.safe_load_all(rendered(*options)) if each]
    labels = next(each for each in documents if each["kind"] == "Pod")["metadata"]["labels"]
    policy = next(each for each in documents if each["kind"] == "NetworkPolicy")["spec"]
    for rule in policy["ingress"]:
        own = [peer["podSelector"]["matchLabels"] for peer in rule["from"] if "namespaceSelector" not in peer]
        assert any(wanted.items() <= labels.items() for wanted in own), rule["ports"]
