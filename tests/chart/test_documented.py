"""docs/install.md: every example of values is one that the chart takes, all are explained."""

import re
from typing import Any

import yaml

from tests.testbed.helm import CHART, Helm, only

PAGE = (CHART.parents[1] / "docs" / "install.md").read_text()


def test_examples_of_values_make_a_release(helm: Helm) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    examples = [values for block in blocks if "kind" not in (values := yaml.safe_load(block))]
    assert len(examples) == 3
    for values in examples:
        assert only(helm.render(values), "Deployment")


def test_every_value_is_explained() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    missing = [name for name in values if not re.search(rf"`{name}[`.]", table)]
    assert missing == []


def test_the_order_of_uninstalling_is_that_of_the_notes() -> None:
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    block: Any = re.search(r"^## Uninstall.*?^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    commands = [" ".join(line.split()[:3]) for line in block[1].splitlines()]
    places = [notes.index(command.replace(" pgstrata", "")) for command in commands]
    assert len(places) == 4
    assert places == sorted(places)
