"""The health server is reached whatever addresses the pod has: of IPv4, of IPv6, or of both."""

import json
import socket
import sys
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.cluster.runtime_operator import START, RuntimeOperator
from tests.testbed.polling import poll
from tests.testbed.scratch import scratch

WITHOUT_IPV6 = (sys.executable, "-m", "tests.testbed.without_ipv6")


def nowhere(directory: Path) -> Path:
    """A kubeconfig of a server that is not there: the health server does not wait for it."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "nowhere",
        "clusters": [{"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "nowhere", "user": {}}],
        "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nowhere"}}],
    }
    path = directory / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def reached(address: str, launcher: Sequence[str] = ()) -> set[str]:
    """By which hosts an operator that was told this address is reached."""
    with scratch("operator") as directory:
        settings = {"PGSTRATA_HEALTH_ADDRESS": address}
        operator = RuntimeOperator(nowhere(directory), directory, settings, launcher=launcher)
        try:
            [line] = poll(operator.listening, START, f"it listens\n{operator.process.tail()}")
            return {host for host in ("127.0.0.1", "[::1]") if healthy(host, line["port"])}
        finally:
            operator.process.stop()


def healthy(host: str, port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize("address", [":0", "[::]:0"])
def test_it_is_reached_by_both_families(address: str) -> None:
    assert reached(address) == {"127.0.0.1", "[::1]"}


def test_it_is_reached_by_the_only_family_that_the_kernel_has() -> None:
    assert reached(":0", WITHOUT_IPV6) == {"127.0.0.1"}


def test_it_listens_where_it_is_told_to_alone() -> None:
    assert reached("127.0.0.1:0") == {"127.0.0.1"}
    assert reached("[::1]:0") == {"[::1]"}


def test_a_port_that_is_taken_is_an_error_and_no_reason_for_the_other_family() -> None:
    with (
        closing(socket.create_server(("::1", 0), family=socket.AF_INET6)) as taken,
        scratch("operator") as directory,
    ):
        settings = {"PGSTRATA_HEALTH_ADDRESS": f":{taken.getsockname()[1]}"}
        operator = RuntimeOperator(nowhere(directory), directory, settings)
        assert operator.process.wait(START) == 1
        assert "address already in use" in operator.process.log.read_text().lower()
