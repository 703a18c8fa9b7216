"""The release that tests/node upgrades from can be made, and differs from this one as it should."""

from pathlib import Path

import yaml

from tests.testbed.helm import CHART
from tests.testbed.node import older_release


def test_the_older_release_has_another_version_and_fewer_fields(tmp_path: Path) -> None:
    older_release.make_older_release(tmp_path)
    chart = tmp_path / older_release.CHART
    description = yaml.safe_load((chart / "Chart.yaml").read_text())
    assert (description["version"], description["appVersion"]) == (older_release.VERSION,) * 2
    for kind, field in (("manageddatabases", "maxConnections"), ("schemaversions", "appliedCount")):
        file = Path("templates") / "crds" / f"pgstrata.dev_{kind}.yaml"
        assert f"{field}:" in (CHART / file).read_text()
        assert f"{field}:" not in (chart / file).read_text()
