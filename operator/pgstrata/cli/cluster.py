"""The way to a cluster for commands that a person runs: as kubectl goes it, not as the operator."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pgstrata.cli.kinds import HANDLERS
from pgstrata.core.api_model import API_VERSION
from pgstrata.core.errors import InvalidKubeConfig
from pgstrata.core.resource import RawResource
from pgstrata.kube.client import KubeClient
from pgstrata.kube.raw import mapping, to_raw


def _usual() -> str | None:
    try:
        usual = Path.home() / ".kube" / "config"
    except RuntimeError:  # a user without a home
        return None
    return str(usual) if usual.exists() else None


@asynccontextmanager
async def cluster(kubeconfig: str | None) -> AsyncIterator[KubeClient]:
    """Open a client by --kubeconfig, KUBECONFIG, ~/.kube/config, or the pod's service account."""
    found = kubeconfig or os.environ.get("KUBECONFIG") or _usual()
    try:
        client = await KubeClient.open(found)
    except InvalidKubeConfig as error:
        raise InvalidKubeConfig(
            f"{error.message.rstrip('.')}; name a cluster by --kubeconfig or KUBECONFIG, or a "
            "database by --database-url"
        ) from error
    try:
        yield client
    finally:
        await client.close()


async def read_resources(client: KubeClient, namespace: str) -> list[RawResource]:
    """Return all resources of pgstrata in a namespace, kind by kind."""
    resources: list[RawResource] = []
    for handler in HANDLERS.values():
        items = (await client.get(path_of(handler.api.kind, namespace))).get("items")
        resources += [to_raw(mapping(i)) for i in items] if isinstance(items, list) else []
    return resources


def path_of(kind: str, namespace: str, name: str | None = None) -> str:
    """Return the path of a collection, or of one object in it."""
    plural = HANDLERS[kind].api.plural
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/{plural}"
    return path if name is None else f"{path}/{name}"
