"""A listing or watch that the API server refuses does not end the others: it is asked for again.

kopf repeats what was forbidden for two minutes and then ends as a whole, and what was not found it
does not repeat. informer.py gives kopf an HTTP session with `ask_again` in it, which turns such an
answer, after a pause, into one that broke off: that kopf takes as a reason to list anew, for ever
and in silence (kopf 1.45.2). What people are told is notices.py's.
"""

import asyncio
import json
import random
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from pgstrata.app.streams import WatchStreams, verb_of

ASK_EVERY: Final = 15.0
"""Seconds between two requests for what stays refused; the first ones are closer together."""

_REFUSALS: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


class Refused(aiohttp.ClientPayloadError):
    """Of all errors the one that kopf neither logs nor escalates."""


class Refusals:
    """The client middleware that belongs to some streams."""

    def __init__(self, streams: WatchStreams) -> None:
        self._streams = streams

    async def ask_again(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Pass on whatever is no refusal of one of the streams."""
        response = await handler(request)
        path = self._streams.path_of(request)
        if path is None:
            return response
        verb = verb_of(request)
        if response.status in _REFUSALS:
            words = await _words(response)
            refusal = self._streams.refused(path, verb, response.status, words)
            await asyncio.sleep(pause_after(refusal.times))
            raise Refused(words)
        if response.status == HTTPStatus.OK:
            self._streams.granted(path, verb)
        return response


async def _words(response: ClientResponse) -> str:
    """The API server's explanation; a proxy's page in its place is not repeated."""
    try:
        said = json.loads(await response.read())
    except ValueError:
        said = None
    message = said.get("message") if isinstance(said, dict) else None
    return str(message or f"{response.status} {response.reason}")


def pause_after(times: int) -> float:
    """Return the seconds after so many refusals: 1, 2, 4, 8 and then `ASK_EVERY`, spread."""
    pause = min(2.0 ** min(times - 1, 8), ASK_EVERY)  # it may be refused for days
    return pause * random.uniform(0.9, 1.1)  # noqa: S311  spreads load
