"""The log is JSON, a line each, and takes nothing from a record that is not a plain value."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from pgstrata.app.logs import configure_logging


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(stream=stream)
    yield stream
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_holds_the_message_and_the_objects_key(output: io.StringIO) -> None:
    logging.getLogger("pgstrata.x").info(
        "released in %d s", 2, extra={"key": "SchemaVersion shop/orders", "seconds": 2.5}
    )

    line = json.loads(output.getvalue())
    assert line["message"] == "released in 2 s"
    assert line["level"] == "info"
    assert line["key"] == "SchemaVersion shop/orders"
    assert line["seconds"] == 2.5


def test_a_traceback_stays_on_its_line(output: io.StringIO) -> None:
    try:
        raise ValueError("odd\nnews")
    except ValueError:
        logging.getLogger("pgstrata.x").exception("unexpected")

    [line] = output.getvalue().splitlines()
    assert "ValueError: odd" in json.loads(line)["traceback"]


def test_objects_do_not_get_into_the_log(output: io.StringIO) -> None:
    secret = {"data": {"password": "cGFzc3dvcmQ="}}
    logging.getLogger("kopf.x").warning("seen", extra={"body": secret, "k8s_ref": secret})

    assert "cGFzc3dvcmQ=" not in output.getvalue()


def test_kopf_does_not_log_each_event(output: io.StringIO) -> None:
    logging.getLogger("kopf.objects").info("Handler 'notice' succeeded.")

    assert output.getvalue() == ""
