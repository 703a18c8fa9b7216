"""The command line, also as `kubectl pgstrata`: run, plan, apply, status, history, approve.

Exit status: 0 Ready, 2 Stalled, 3 timed out, 4 waiting for approval or a window, 64 usage or an
invalid manifest.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, NoReturn

import click

from pgstrata import __version__
from pgstrata.cli.apply import Applied, ApplyOptions, ExitCode, apply
from pgstrata.cli.control_schema import NoControlSchema
from pgstrata.cli.display import Display
from pgstrata.cli.manifests import InvalidManifest, read_manifests
from pgstrata.core.api_values import parse_duration
from pgstrata.core.errors import (
    InvalidKubeConfig,
    InvalidSettings,
    InvalidSpec,
    PgstrataError,
)
from pgstrata.pg.target import parse_url


class _Seconds(click.ParamType[float]):
    """A duration such as 10m, in seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, int | float):
            return float(value)
        try:
            return parse_duration(str(value)).total_seconds()
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Url(click.ParamType[str]):
    """A connection URI; one that cannot be is a matter of usage, and is never repeated."""

    name = "url"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        try:
            parse_url(str(value), origin="it")
        except InvalidSpec as error:
            self.fail(error.message, param, ctx)
        return str(value)


_files = click.option(
    "-f", "--filename", required=True, help="A folder, a file, or - for standard input."
)
_url = click.option(
    "--database-url",
    type=_Url(),
    envvar="PGSTRATA_DATABASE_URL",
    help="Stands in for the ManagedDatabase's Secret; all that libpq understands.",
)
_namespace = click.option("-n", "--namespace", default="default", show_default=True)
_kubeconfig = click.option(
    "--kubeconfig", help="The cluster; unset: KUBECONFIG, else ~/.kube/config."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pgstrata")
def cli() -> None:
    """Look after the life of a PostgreSQL schema."""


@cli.command("apply")
@_files
@_url
@click.option(
    "--approve",
    metavar="all|HASH",
    multiple=True,
    help="Agree to a plan, by the hash it waits with.",
)
@click.option("--ignore-windows", is_flag=True, help="Begin steps in closed windows too.")
@click.option("--take-over", is_flag=True, help="Take over what another resource manages.")
@click.option("--timeout", type=_Seconds(), default="10m", show_default=True)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")
def apply_command(
    *,
    filename: str,
    database_url: str | None,
    approve: tuple[str, ...],
    ignore_windows: bool,
    take_over: bool,
    timeout: float,
    output: str,
) -> None:
    """Reconcile manifests without a cluster until all are Ready."""
    manifests = read_manifests(filename)
    for name in manifests.ignored:
        print(f"{name}: not a kind of pgstrata, passed over", file=sys.stderr)
    display = Display()
    with display.running():
        hashes = frozenset(word for given in approve for word in given.replace(",", " ").split())
        options = ApplyOptions(database_url, take_over, timeout, hashes, ignore_windows)
        applied = _run(apply(manifests, options, display.show, display.warn))
    _print_result(applied, output)
    sys.exit(applied.exit_code)


def _print_result(applied: Applied, output: str) -> None:
    if output == "json":
        resources = [
            {"kind": raw.key.kind, "name": raw.key.name, "status": dict(raw.status)}
            for raw in applied.resources
        ]
        print(json.dumps({"resources": resources, "exitCode": int(applied.exit_code)}, indent=2))
    else:
        from pgstrata.cli.tables import result_console, result_table  # noqa: PLC0415  rich is slow

        result_console().print(result_table(list(applied.resources)))


@cli.command("plan")
@_files
@_url
@click.option("-o", "--output", type=click.Choice(["table", "json", "sql"]), default="table")
def plan_command(filename: str, database_url: str | None, output: str) -> None:
    """Show each statement that apply would run, with its locks; change nothing."""
    from pgstrata.cli.plan import print_plans  # noqa: PLC0415  keeps --help quick

    sys.exit(_run(print_plans(read_manifests(filename), database_url, output)))


@cli.command("status")
@click.argument("name", required=False)
@_url
@_namespace
@_kubeconfig
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")
def status_command(
    name: str | None,
    database_url: str | None,
    namespace: str,
    kubeconfig: str | None,
    output: str,
) -> None:
    """Show what was applied: of a cluster's resources, or of a database's control schema."""
    from pgstrata.cli.status import print_cluster_status, print_database_status  # noqa: PLC0415

    if database_url is not None:
        _refuse_name(name)
        sys.exit(_run(print_database_status(database_url, output)))
    sys.exit(_run(print_cluster_status(kubeconfig, namespace, name, output)))


@cli.command("history")
@click.argument("name_or_version", required=False, metavar="[NAME|VERSION]")
@_url
@_namespace
@_kubeconfig
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")
def history_command(
    name_or_version: str | None,
    database_url: str | None,
    namespace: str,
    kubeconfig: str | None,
    output: str,
) -> None:
    """Show what was done: the newest versions of SchemaVersion NAME, or of all in the namespace.

    With --database-url all that was ever done to the database, and of one VERSION the text too.
    """
    from pgstrata.cli.history import print_cluster_history, print_history  # noqa: PLC0415

    if database_url is None:
        sys.exit(_run(print_cluster_history(kubeconfig, namespace, name_or_version, output)))
    if name_or_version and not all(part.isdecimal() for part in name_or_version.split(".")):
        raise click.BadParameter(f"{name_or_version} is no version", param_hint="VERSION")
    sys.exit(_run(print_history(database_url, name_or_version, output)))


@cli.command("approve")
@click.argument("name_or_hash", required=False, metavar="[NAME] [HASH]")
@click.argument("hash_", required=False, metavar="")
@_url
@_namespace
@_kubeconfig
@click.option("-y", "--yes", is_flag=True, help="Approve what waits now, without asking.")
def approve_command(
    name_or_hash: str | None,
    hash_: str | None,
    database_url: str | None,
    namespace: str,
    kubeconfig: str | None,
    *,
    yes: bool,
) -> None:
    """Agree to the plan that SchemaVersion NAME waits with, by its HASH.

    With --database-url it is `approve HASH`, and without a HASH what waits there is listed.
    """
    from pgstrata.cli.approve import approve_in_cluster, approve_in_database  # noqa: PLC0415

    if database_url is not None:
        _refuse_name(name_or_hash if hash_ is not None else None)
        sys.exit(_run(approve_in_database(database_url, name_or_hash)))
    if name_or_hash is None:
        raise click.MissingParameter(param_hint="NAME", param_type="argument")
    sys.exit(_run(approve_in_cluster(kubeconfig, namespace, name_or_hash, hash_, is_sure=yes)))


@cli.command("run")
@click.option("--kubeconfig", help="Unset: the service account of the pod.")
def run_command(kubeconfig: str | None) -> None:
    """Run the operator; its settings are PGSTRATA_* variables."""
    from pgstrata.cli.run import run_operator_process  # noqa: PLC0415  kopf is not for the others

    sys.exit(run_operator_process(kubeconfig))


def _refuse_name(name: str | None) -> None:
    """A database knows objects and no names: one that is given and not heeded would mislead."""
    if name is not None:
        raise click.UsageError(
            f"NAME {name} is of a resource in a cluster, and --database-url (or "
            "PGSTRATA_DATABASE_URL) says that it is about a database: give one of the two"
        )


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command; every failure is one line on standard error and a status of its own."""
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # it tells of sessions that we see end
    try:
        cli.main(args=arguments, standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except click.Abort:
        sys.exit(ExitCode.INTERRUPTED)
    except InvalidManifest as error:
        print(f"pgstrata: {error.message}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    except (InvalidSettings, InvalidKubeConfig) as error:
        print(f"pgstrata: {error.message}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    except NoControlSchema as error:
        print(f"pgstrata: {error.message}", file=sys.stderr)
        sys.exit(ExitCode.STALLED)
    except PgstrataError as error:
        print(f"pgstrata: {error.reason}: {error.message}", file=sys.stderr)
        sys.exit(ExitCode.STALLED)
    sys.exit(ExitCode.READY)


if __name__ == "__main__":
    main()
