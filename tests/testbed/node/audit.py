"""What the operator asked the API server of a node for: read from the API server's audit log."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the operator's account."""

    verb: str
    resource: str
    """With its group and subresource: "pgstrata.dev/schemaversions/status"; or else a path, which
    begins with a slash: "/apis/pgstrata.dev/v1alpha1"."""
    at: datetime


def requests(directory: Path) -> Iterator[Request]:
    """Yield the requests, each once, in the order of their answers."""
    seen: set[str] = set()
    for line in (directory / "audit.log").read_text().splitlines():
        event = json.loads(line)
        if event["auditID"] in seen:
            continue
        seen.add(event["auditID"])
        at = datetime.fromisoformat(event["requestReceivedTimestamp"])
        yield Request(event["verb"], _asked_for(event), at)


def _asked_for(event: dict[str, Any]) -> str:
    named = event.get("objectRef")
    if named is None:
        return str(event["requestURI"]).partition("?")[0]
    parts = [named.get("apiGroup"), named["resource"], named.get("subresource")]
    return "/".join(filter(None, parts))
