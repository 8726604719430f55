"""A log line is one JSON object, whatever is in it, and a log that cannot be written fails no request."""

import io
import json
import subprocess
import sys
from typing import Any

import pytest
from modelyard_runtime.json_lines import JsonLines, json_line

PROGRAM = """
import logging
import structlog
from modelyard_runtime.logs import configure_logs
from modelyard_runtime.http.request_ids import RequestNames, naming
configure_logs(service="shop", level="info", layout={layout!r})
log = structlog.get_logger()
with naming(RequestNames("mine")):
    log.info("order_taken", quantity=3)
log.debug("not_told")
logging.getLogger("uvicorn.error").warning("an old %s", "text")
logging.getLogger("aiokafka").info("not told")
try:
    token = "secret"
    {{}}["missing"]
except KeyError as error:
    log.error("order_failed", exc_info=error)
"""


def lines_of(layout: str) -> list[str]:
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(layout=layout)], capture_output=True, text=True, check=True
    )
    return program.stderr.splitlines()


def test_json_lines_say_who_wrote_them_and_about_which_request() -> None:
    taken, text, failed = (json.loads(line) for line in lines_of("json"))

    assert taken.pop("timestamp").endswith("Z")
    assert len(taken.pop("trace_id")) == 32
    assert taken == {
        "event": "order_taken",
        "quantity": 3,
        "service": "shop",
        "level": "info",
        "logger": "__main__",
        "request_id": "mine",
    }
    assert (text["event"], text["logger"], text["level"]) == ("an old text", "uvicorn.error", "warning")
    assert failed["exception"][0]["exc_type"] == "KeyError"
    assert "secret" not in json.dumps(failed)


def test_a_terminal_gets_text() -> None:
    lines = lines_of("console")

    assert "order_taken" in lines[0]
    assert "quantity" in lines[0]


@pytest.mark.parametrize("value", [2**70, -(2**70), "\ud800", b"\xff", object, {1: 2}, {"a": {2**70}}, float("nan")])
def test_whatever_is_logged_makes_a_line(value: Any) -> None:
    assert "value" in json.loads(json_line(None, "info", {"value": value}))


def test_a_stream_that_cannot_be_written_fails_nobody() -> None:
    closed = io.BytesIO()
    closed.close()

    JsonLines(name="shop", stream=closed).info(b"{}")
