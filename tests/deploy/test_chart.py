"""The Kubernetes chart, rendered by Helm: what it refuses, and servers with its very settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.cli.serving import refused, serving

pytestmark = [pytest.mark.part("helm"), pytest.mark.timeout(90)]

CHART: Final = Path(__file__).resolve().parents[2] / "deploy" / "chart"
HELM: Final = Path(sys.executable).parent / "helm"
HELM_S: Final = 60
STORE: Final = "store.url=redis://redis:6379/0"
SAFE: Final = (STORE, "tls.secret=podium-tls", "auth.secret=podium-keys")

Variables = dict[str, str]


def rendered(*values: str) -> subprocess.CompletedProcess[str]:
    sets = [word for value in values for word in ("--set", value)]
    return subprocess.run(
        [HELM, "template", "orders", CHART, *sets],
        capture_output=True, text=True, timeout=HELM_S, check=False,
    )  # fmt: skip


def objects(*values: str) -> dict[tuple[str, str], Any]:
    """What is made, by kind and name."""
    done = rendered(*values)
    assert done.returncode == 0, done.stderr
    found = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def container(made: dict[tuple[str, str], Any]) -> dict[str, Any]:
    (found,) = made["Deployment", "orders"]["spec"]["template"]["spec"]["containers"]
    return found


def variables(made: dict[tuple[str, str], Any]) -> Variables:
    """As the container gets them, those from a Secret of the chart included."""
    found: Variables = {}
    for each in container(made)["env"]:
        if "value" in each:
            found[each["name"]] = each["value"]
        else:
            source = each["valueFrom"]["secretKeyRef"]
            found[each["name"]] = made["Secret", source["name"]]["stringData"][source["key"]]
    return found


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (("insecure=true",), "expected store.url or store.secret, found neither"),
        ((STORE,), "expected tls.secret with auth.secret or tls.clientAuthority"),
        ((STORE, "tls.secret=t"), "expected tls.secret with auth.secret or tls.clientAuthority"),
        ((STORE, "insecure=true", "tls.secret=t"), "expected insecure or tls.secret, found both"),
    ],
)
def test_unsound_values_are_refused(values: tuple[str, ...], text: str) -> None:
    done = rendered(*values)
    assert done.returncode != 0
    assert text in done.stderr


def test_servers_are_several_and_leave_one_after_the_other() -> None:
    made = objects(*SAFE)
    spec = made["Deployment", "orders"]["spec"]
    assert spec["replicas"] == 3
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    budget = made["PodDisruptionBudget", "orders"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"] == labels
    for name in ("orders", "orders-one"):
        assert made["Service", name]["spec"]["selector"] == labels
    assert ("PodDisruptionBudget", "orders") not in objects(*SAFE, "replicas=1")


def test_ports_and_mounts_fit_what_the_server_is_told() -> None:
    made = objects(*SAFE)
    server, told = container(made), variables(made)
    ports = {each["name"]: each["containerPort"] for each in server["ports"]}
    assert told["PODIUM_GRPC_LISTEN"] == f"0.0.0.0:{ports['grpc']}"
    assert told["PODIUM_GATEWAY_LISTEN"] == f"0.0.0.0:{ports['http']}"
    mounts = [each["mountPath"] for each in server["volumeMounts"]]
    for name in ("PODIUM_TLS_CERTIFICATE", "PODIUM_TLS_KEY", "PODIUM_AUTH_KEYS_FILE"):
        assert str(Path(told[name]).parent) in mounts, name
    volumes = made["Deployment", "orders"]["spec"]["template"]["spec"]["volumes"]
    assert {each["name"] for each in volumes} == {each["name"] for each in server["volumeMounts"]}


async def test_a_server_starts_with_the_variables_and_answers_its_probe() -> None:
    made = objects(STORE, "insecure=true", "settings.PODIUM_LOG_LEVEL=info")
    told = here(variables(made))
    assert told["PODIUM_LOG_LEVEL"] == "info"
    async with serving(**told) as server:
        assert server.said["grpc"]


async def test_without_the_files_of_its_secrets_it_does_not_start() -> None:
    told = here(variables(objects(*SAFE)))
    code, text = await refused(**told)
    assert code != 0
    assert "/etc/podium/tls/tls.crt" in text


def here(told: Variables) -> Variables:
    """On this machine's loopback, over a store that needs nothing."""
    assert told["PODIUM_STORE_URL"] == "redis://redis:6379/0"
    return {
        **told,
        "PODIUM_STORE_URL": "memory://",
        "PODIUM_STORE_VOLATILE": "true",
        "PODIUM_GRPC_LISTEN": "127.0.0.1:0",
        "PODIUM_GATEWAY_LISTEN": "127.0.0.1:0",
    }
