"""The kinds that this release serves, in the order in which they are looked at.

The one list of rooms; operator and command line are wired from it.
"""

from collections.abc import Mapping
from typing import Any

from pgstrata.databases.reconcile import HANDLER as MANAGED_DATABASE
from pgstrata.engine.drive import KindHandler
from pgstrata.migrations.reconcile import HANDLER as SCHEMA_VERSION

# A handler takes resources of its own spec alone; drive.py parses with that spec before it calls.
HANDLERS: Mapping[str, KindHandler[Any]] = {
    handler.api.kind: handler for handler in (MANAGED_DATABASE, SCHEMA_VERSION)
}
