"""The one way to the API server: raw calls with a deadline each, JSON in and out.

Authentication, TLS and token refresh stay with the official client; its typed API classes are never
used (they cost 93 MiB). Called by the rest of kube/, and by app/session.py, which gives kopf the
same credentials. Promises: every call ends within its deadline, every failure is an ApiError, no
body is ever logged or put into an error.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self

import aiohttp
import yaml
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import ApiClient, Configuration
from pydantic import JsonValue, TypeAdapter

from pgstrata import __version__
from pgstrata.core.errors import InvalidKubeConfig, PgstrataError

JsonObject = dict[str, JsonValue]

DEADLINE: Final = 10.0
"""Seconds that a call may take, retries included, unless the caller says otherwise."""
FIELD_MANAGER: Final = "pgstrata"
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
NO_ANSWER: Final = 0
"""`ApiError.status` where there was no answer at all."""

_JSON: Final = "application/json"
_JSON_PATCH: Final = "application/json-patch+json"
_MERGE_PATCH: Final = "application/merge-patch+json"
_APPLY_PATCH: Final = "application/apply-patch+yaml"
_FIRST_ERROR: Final = 400
_CONNECTION_PAUSE: Final = 0.5
_OBJECT: Final = TypeAdapter(JsonObject)


class ApiError(PgstrataError):
    """The API server refused a request, or did not answer in time."""

    def __init__(self, status: int, status_reason: str, text: str) -> None:
        """`status`: of HTTP, or NO_ANSWER; `status_reason`: Kubernetes' word for it."""
        super().__init__(text)
        self.status = status
        self.status_reason = status_reason


class _Answer(Protocol):
    """What is used of kubernetes.aio's RESTResponse, which has no types of its own."""

    status: int

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def read(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    body: JsonValue = None
    content_type: str = _JSON

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """Writes say who makes them; the official client's own default is another name."""
        manager = () if self.method == "GET" else (("fieldManager", FIELD_MANAGER),)
        return (*manager, ("force", "true")) if self.content_type == _APPLY_PATCH else manager

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class KubeClient:
    """Raw calls to one API server. Make it by `open`; close it at the end."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._api = ApiClient(configuration)
        self._api.user_agent = f"pgstrata/{__version__}"

    @classmethod
    async def open(cls, kubeconfig: str | None) -> Self:
        """Use this kubeconfig file, or without one the pod's own service account.

        Raises InvalidKubeConfig. The environment's KUBECONFIG is not looked at.
        """
        source = kubeconfig or "the pod's service account"
        configuration = Configuration()
        # As client-go: older clusters' certificates lack the extensions that strictness wants.
        configuration.disable_strict_ssl_verification = True
        try:
            if kubeconfig is None:
                kube_config.load_incluster_config(  # type: ignore[no-untyped-call]  # not typed
                    client_configuration=configuration
                )
            else:
                async with asyncio.timeout(DEADLINE):
                    await kube_config.load_kube_config(  # type: ignore[no-untyped-call]  # same
                        kubeconfig, client_configuration=configuration, persist_config=False
                    )
            return cls(configuration)
        except (kube_config.ConfigException, OSError, TimeoutError) as error:
            raise InvalidKubeConfig(f"no way to the API server by {source}: {error}") from error
        except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError):
            # The loader's faults over a file of another form; they can quote what stands in it.
            raise InvalidKubeConfig(
                f"no way to the API server by {source}: no kubeconfig"
            ) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()  # type: ignore[no-untyped-call]  # same

    @property
    def server(self) -> str:
        """The API server's base URL."""
        return str(self._configuration.host)

    @property
    def tls(self) -> ssl.SSLContext:
        """The context with the cluster's CA and, where there is one, our client certificate."""
        context: ssl.SSLContext = self._api.rest_client.ssl_context
        return context

    @property
    def proxy(self) -> str | None:
        """The HTTP proxy that the kubeconfig names."""
        proxy: str | None = self._configuration.proxy
        return proxy

    async def authorization(self) -> Mapping[str, str]:
        """The headers that authenticate a request now; a token that is due is read again."""
        settings = await self._configuration.auth_settings()
        bearer = settings.get("BearerToken")
        token = bearer["value"] if bearer else None
        return {"Authorization": token} if token else {}

    async def get(self, path: str, *, deadline: float = DEADLINE) -> JsonObject:
        """Read one object or collection."""
        return await self._call(_Request("GET", path), deadline)

    async def create(
        self, path: str, body: JsonObject, *, deadline: float = DEADLINE
    ) -> JsonObject:
        """Post a new object to a collection."""
        return await self._call(_Request("POST", path, body), deadline)

    async def replace(
        self, path: str, body: JsonObject, *, deadline: float = DEADLINE
    ) -> JsonObject:
        """Put an object; with the resourceVersion inside, a 409 tells of a race."""
        return await self._call(_Request("PUT", path, body), deadline)

    async def apply(self, path: str, body: JsonObject, *, deadline: float = DEADLINE) -> JsonObject:
        """Server-side apply, forced: what the body names is ours."""
        return await self._call(_Request("PATCH", path, body, _APPLY_PATCH), deadline)

    async def merge_patch(
        self, path: str, body: JsonObject, *, deadline: float = DEADLINE
    ) -> JsonObject:
        """Merge a few fields into an object."""
        return await self._call(_Request("PATCH", path, body, _MERGE_PATCH), deadline)

    async def json_patch(
        self, path: str, operations: Sequence[JsonObject], *, deadline: float = DEADLINE
    ) -> JsonObject:
        """Apply JSON patch operations; a failed `test` is a 422."""
        return await self._call(_Request("PATCH", path, list(operations), _JSON_PATCH), deadline)

    async def _call(self, request: _Request, deadline: float) -> JsonObject:
        """Send until there is an answer worth having; safe, since all our writes can be repeated.

        Asked to come again (Retry-After: 429 of a fresh CRD, 503) or without a connection it tries
        again, as long as the deadline lasts. Raises ApiError.
        """
        last = ApiError(NO_ANSWER, "Timeout", f"{request}: no answer within {deadline:g} s")
        try:
            async with asyncio.timeout(deadline):
                while True:
                    try:
                        answer = await self._send(request, deadline)
                        raw = await answer.read()
                    except aiohttp.ClientError as error:
                        last = _no_connection(request, error)
                        await asyncio.sleep(_CONNECTION_PAUSE)
                        continue
                    if answer.status < _FIRST_ERROR:
                        return _parse(request, raw)
                    last = _refusal(request, answer.status, raw)
                    pause = answer.headers.get("Retry-After", "")
                    if not pause.isdigit():
                        raise last
                    await asyncio.sleep(max(_CONNECTION_PAUSE, float(pause)))
        except TimeoutError as error:
            raise last from error

    async def _send(self, request: _Request, deadline: float) -> _Answer:
        serialized = await self._api.param_serialize(
            method=request.method,
            resource_path=request.path,
            query_params=list(request.query),
            header_params={"Accept": _JSON, "Content-Type": request.content_type},
            body=request.body,
            auth_settings=["BearerToken"],
        )
        answer: _Answer = await self._api.call_api(*serialized, _request_timeout=deadline)
        return answer


def _no_connection(request: _Request, error: aiohttp.ClientError) -> ApiError:
    """Name the error's type alone: aiohttp's texts can hold what was sent."""
    return ApiError(NO_ANSWER, "ConnectionFailed", f"{request}: {type(error).__name__}")


def _parse(request: _Request, raw: bytes) -> JsonObject:
    try:
        return _OBJECT.validate_json(raw or b"{}")
    except ValueError:
        # No cause: pydantic's error quotes the body.
        raise ApiError(NO_ANSWER, "InvalidAnswer", f"{request}: the answer is no JSON") from None


def _refusal(request: _Request, status: int, raw: bytes) -> ApiError:
    """Take the API server's own words; a proxy's page in their place is not repeated."""
    try:
        parsed = json.loads(raw)
    except ValueError:
        parsed = None
    said = parsed if isinstance(parsed, dict) else {}
    reason = str(said.get("reason") or "")
    return ApiError(status, reason, f"{request}: {status} {reason}: {said.get('message') or '-'}")
