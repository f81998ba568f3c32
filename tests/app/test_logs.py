"""Logs as lines of JSON."""

import json
import logging

from podling.app.logs import JsonFormatter


def test_a_line_is_an_event() -> None:
    try:
        raise ValueError("bad")
    except ValueError as error:
        record = logging.LogRecord("podling.x", logging.ERROR, "f", 1, "%s went %s", ("it", "wrong"), (ValueError, error, None))
    line = json.loads(JsonFormatter("server").format(record))
    assert (line["level"], line["process"], line["logger"], line["msg"]) == ("error", "server", "podling.x", "it went wrong")
    assert "ValueError: bad" in line["error"]
    assert line["ts"].endswith("+00:00")
