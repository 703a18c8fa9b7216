"""The bundle's files hold what its source document asks for, and the example leads to them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgstrata.pg.script import split_script
from tests.testbed.monitoring.document_existing_tables import INDEXES

ROOT = Path(__file__).parents[3]
BUNDLE = ROOT / "sql" / "bundles" / "api-monitoring"
EXAMPLE = ROOT / "examples" / "api-monitoring"

ENHANCEMENT_1 = {index.name: index.definition for index in INDEXES}
"""Every index of the document's enhancement 1, in its order, as it writes it behind ON."""

OF_A_LATER_VERSION = {"idx_users_organization": "organization_id"}
"""Indexes on columns that version 000 does not have, and those columns."""

CREATE_INDEX = re.compile(r"CREATE INDEX CONCURRENTLY (\w+) ON (.+)", re.DOTALL)


def statements(file: str) -> list[str]:
    return [item.text for item in split_script((BUNDLE / file).read_text())]


def manifest(file: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((EXAMPLE / file).read_text())
    return loaded


def test_version_001_has_every_index_whose_columns_exist_and_no_other() -> None:
    matches = [CREATE_INDEX.fullmatch(text) for text in statements("001_add_indexes.expand.sql")]
    found = {match[1]: match[2] for match in matches if match}

    wanted = {k: v for k, v in ENHANCEMENT_1.items() if k not in OF_A_LATER_VERSION}
    assert len(ENHANCEMENT_1) == 14
    assert len(wanted) == 13
    assert found == wanted
    assert None not in matches, "a statement that is not a concurrent build of an index"
    assert len(matches) == len(wanted), "an index is built twice"


@pytest.mark.parametrize(("index", "column"), OF_A_LATER_VERSION.items())
def test_an_index_is_left_out_only_if_its_column_does_not_exist_yet(
    index: str, column: str
) -> None:
    assert column in ENHANCEMENT_1[index]
    assert column not in " ".join(statements("000_existing_schema.expand.sql"))
    later = " ".join(statements("002_add_organization_support.expand.sql"))
    assert later.index(f"ADD COLUMN {column}") < later.index(f"CREATE INDEX CONCURRENTLY {index} ")


@pytest.mark.parametrize("file", sorted(path.name for path in BUNDLE.glob("*.sql")))
def test_a_file_of_the_bundle_can_go_into_any_schema_and_says_what_it_is(file: str) -> None:
    text = (BUNDLE / file).read_text()
    assert re.fullmatch(r"\d{3}_[a-z_]+\.(expand|migrate|contract|verify)\.sql", file)
    assert text.startswith("-- ")
    assert not any("public." in statement for statement in statements(file))
    assert not any("IF NOT EXISTS" in statement for statement in statements(file))


def test_the_example_asks_for_a_version_that_the_bundle_has() -> None:
    spec = manifest("schemaversion.yaml")["spec"]
    assert spec["source"] == {"bundle": BUNDLE.name}
    assert isinstance(spec["version"], str), "unquoted, YAML would read a number"
    assert list(BUNDLE.glob(f"{spec['version']}_*.expand.sql"))


def test_the_example_refers_to_its_own_database() -> None:
    database = manifest("database.yaml")
    assert database["kind"] == "ManagedDatabase"
    assert manifest("schemaversion.yaml")["spec"]["databaseRef"] == {
        "name": database["metadata"]["name"]
    }


def test_the_example_says_how_to_make_its_secret_and_holds_none() -> None:
    text = (EXAMPLE / "database.yaml").read_text()
    secret = manifest("database.yaml")["spec"]["connection"]["secretRef"]["name"]
    assert f"kubectl create secret generic {secret} --from-literal=uri=" in text
    kinds = {manifest(path.name)["kind"] for path in EXAMPLE.glob("*.yaml")}
    assert kinds == {"ManagedDatabase", "SchemaVersion"}
