"""Which binaries the test bed takes, and that a build appears whole or not at all."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.testbed import binaries
from tests.testbed.toolchain import Toolchain
from tests.testbed.unavailable import Unavailable


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, a toolchain that is never run, no assets given."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    toolchain = Toolchain(Path("/nonexistent/go"), "go1.99.0")
    monkeypatch.setattr(binaries, "find_toolchain", lambda go_mods: toolchain)
    return tmp_path


def pretend_go_build(monkeypatch: pytest.MonkeyPatch, exit_code: int) -> list[str]:
    """Let `go build` write its output and end so; return the list that its packages go to."""
    built: list[str] = []

    def run(command: list[Any], **_: object) -> subprocess.CompletedProcess[str]:
        built.append(str(command[-1]))
        Path(command[command.index("-o") + 1]).touch()
        return subprocess.CompletedProcess(command, exit_code, "", "out of memory")

    monkeypatch.setattr(subprocess, "run", run)
    return built


def test_each_binary_is_built_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = pretend_go_build(monkeypatch, exit_code=0)
    folder = binaries.require("etcd")
    assert binaries.require("etcd", "kubectl") == folder
    assert built == ["go.etcd.io/etcd/server/v3", "k8s.io/kubernetes/cmd/kubectl"]


def test_a_failed_build_leaves_nothing_that_a_later_run_would_take(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_go_build(monkeypatch, exit_code=1)
    with pytest.raises(Unavailable, match="go build of etcd failed: out of memory"):
        binaries.require("etcd")
    assert not list(cache.rglob("etcd"))


def test_assets_without_a_controller_manager_are_passed_over_aloud(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assets = cache / "assets"
    assets.mkdir()
    for name in ("etcd", "kube-apiserver", "kubectl"):
        (assets / name).touch(mode=0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    pretend_go_build(monkeypatch, exit_code=0)

    assert binaries.require("kubectl") != assets
    assert "has no kube-controller-manager" in capsys.readouterr().err

    (assets / "kube-controller-manager").touch(mode=0o755)
    assert binaries.require("kubectl") == assets
