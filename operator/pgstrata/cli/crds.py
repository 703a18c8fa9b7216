"""`python -m pgstrata.cli.crds DIR`: write what is generated from the models of the API.

Run by `make crds`, and with --check by `make lint`. Writes the CustomResourceDefinitions into DIR
and into the chart's templates, and the tables of fields into the pages of docs/kinds.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

import click

from pgstrata.cli.crd_manifest import file_name, manifest_text, template_text
from pgstrata.cli.field_tables import with_tables
from pgstrata.core.api_model import ApiKind
from pgstrata.databases.spec import MANAGED_DATABASE
from pgstrata.migrations.spec import SCHEMA_VERSION

API_KINDS: tuple[ApiKind, ...] = (MANAGED_DATABASE, SCHEMA_VERSION)
"""All kinds of the API; here, because the rooms do not know each other."""


@dataclass(frozen=True, slots=True)
class Generated:
    """A file, what it holds now (empty: it does not exist) and what it should hold."""

    path: Path
    present: str
    wanted: str


def generated(crds: Path, templates: Path, docs: Path) -> Iterator[Generated]:
    """Yield every generated file.

    Raises:
        MissingMarkers: a page of `docs` has no place for its tables.
        FileNotFoundError: a kind has no page.
    """
    for folder, text_of in ((crds, manifest_text), (templates, template_text)):
        for kind in API_KINDS:
            path = folder / file_name(kind)
            present = path.read_text(encoding="utf-8") if path.exists() else ""
            yield Generated(path, present, text_of(kind))
    for kind in API_KINDS:
        page = docs / f"{kind.singular}.md"
        text = page.read_text(encoding="utf-8")
        yield Generated(page, text, with_tables(text, kind))


def difference(file: Generated) -> str:
    """Return a unified diff from the file to what it should be; empty: none."""
    return "".join(
        unified_diff(
            file.present.splitlines(keepends=True),
            file.wanted.splitlines(keepends=True),
            fromfile=str(file.path),
            tofile=f"{file.path} (make crds)",
        )
    )


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--templates",
    type=click.Path(file_okay=False, path_type=Path),
    help="The chart's CRDs.  [default: charts/pgstrata/templates/crds beside DIRECTORY]",
)
@click.option(
    "--docs",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the kinds' pages.  [default: docs/kinds beside DIRECTORY]",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 with a diff on a difference.")
def main(directory: Path, templates: Path | None, docs: Path | None, *, check: bool) -> None:
    """Write the definitions into DIRECTORY and the chart, the tables of fields into the docs."""
    root = directory.parent
    files = generated(
        directory,
        templates or root / "charts" / "pgstrata" / "templates" / "crds",
        docs or root / "docs" / "kinds",
    )
    changed = [file for file in files if file.present != file.wanted]
    if check:
        for file in changed:
            click.echo(difference(file), nl=False)
        sys.exit(1 if changed else 0)
    for file in changed:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        file.path.write_text(file.wanted, encoding="utf-8")
        click.echo(f"wrote {file.path}")


if __name__ == "__main__":
    main()
