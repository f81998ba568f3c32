"""How processes write their logs: a line of text, or a line of JSON, an event."""

import logging
import sys
from datetime import UTC, datetime

import orjson


def configure(name: str, level: str, form: str) -> None:
    """Everything of `level` and above to standard error; `form` is `text` or `json`, `name` the process's."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(name) if form == "json" else text_formatter(name))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def text_formatter(name: str) -> logging.Formatter:
    return logging.Formatter(f"%(asctime)s.%(msecs)03d %(levelname).1s {name} %(name)s: %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")


class JsonFormatter(logging.Formatter):
    """`{"ts": ..., "level": ..., "process": ..., "logger": ..., "msg": ...}`, with `error` where there is a traceback."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()
