"""Roles that tests log in with: each has a name of its own, since they outlive databases; and what
they are told to ask for."""

import re
import secrets

from tests.testbed.command_line import PASSWORD
from tests.testbed.postgres import PostgresServer


def new_role(server: PostgresServer, settings: str = "") -> str:
    """Make a role with PASSWORD; `settings` is what ALTER ROLE shall say of it. Return its name."""
    name = f"role_{secrets.token_hex(6)}"
    server.create_role(name, PASSWORD)
    if settings:
        server.psql("postgres", f"alter role {name} {settings}")
    return name


def cures_in(message: str) -> list[str]:
    """The statements that a message tells to run, unquoted, without the alternatives to them."""
    text = message.partition("an administrator can run: ")[2]
    assert text, message
    statements = [part.strip().replace('"', "") for part in re.findall(r"[^;]+;", text)]
    return [part for part in statements if not part.startswith("or ")]
