"""What the operator asked the API server of a node for: read from the API server's audit log."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the operator's account."""

    verb: str
    resource: str
    """With its group and subresource: "pgstrata.dev/schemaversions/status"."""
    at: datetime


def requests(directory: Path) -> Iterator[Request]:
    """Yield the requests for resources, each once, in the order of their answers."""
    seen: set[str] = set()
    for line in (directory / "audit.log").read_text().splitlines():
        event = json.loads(line)
        if event["auditID"] in seen or "objectRef" not in event:
            continue
        seen.add(event["auditID"])
        named = event["objectRef"]
        parts = [named.get("apiGroup"), named["resource"], named.get("subresource")]
        at = datetime.fromisoformat(event["requestReceivedTimestamp"])
        yield Request(event["verb"], "/".join(filter(None, parts)), at)
