"""Logs as JSON lines without personal data, and metrics for Prometheus."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from beauty_rec.settings import redaction

LOG = logging.getLogger("beauty_rec.serving")
_PLAIN = frozenset(vars(logging.makeLogRecord({})))
PREFIX = "beauty_rec_"
BUCKETS = (0.005, 0.01, 0.015, 0.02, 0.025, 0.035, 0.05, 0.08, 0.12, 0.2, 0.5, 1, 2, 5, 10)


class JsonLines(logging.Formatter):
    """One JSON object a record: time, level, logger, event, and what the call gave as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update({n: v for n, v in vars(record).items() if n not in _PLAIN})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(_hidden(line, redaction())).decode()


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:
    """Return a value for JSON, no text of it with a secret, before JSON escapes a part of one."""
    if isinstance(value, dict):
        return {str(name): _hidden(part, hide) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(part, hide) for part in value]
    plain = value is None or isinstance(value, bool | int | float)
    return value if plain else hide(str(value))


def log_as_json() -> None:
    """Write this package's logs, and uvicorn's own, to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("beauty_rec.serving", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], False
        logger.setLevel(logging.INFO)
    logging.getLogger("beauty_rec.serving").addHandler(handler)
    logging.getLogger("uvicorn").addHandler(handler)
    logging.getLogger("uvicorn.error").propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # it names paths, and so items


class Traffic:
    """Requests by route, in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            f"{PREFIX}http_requests_total", "Requests by route and status.",
            ["method", "route", "status"], registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            f"{PREFIX}http_request_seconds", "Time to the answer by route.",
            ["route"], buckets=BUCKETS, registry=registry,
        )  # fmt: skip


class Metrics:
    """The metrics of the server as a whole, and of requests to no shop, in a registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.traffic = Traffic(self.registry)
        self.batch = Histogram(
            f"{PREFIX}batch_questions", "Questions that were computed together.",
            buckets=(1, 2, 4, 8, 16, 32, 64), registry=self.registry,
        )  # fmt: skip
        self.compute = Histogram(
            f"{PREFIX}batch_seconds", "Time to compute a batch.",
            buckets=BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.waiting = Gauge(
            f"{PREFIX}requests_in_flight", "Requests being answered.", registry=self.registry
        )
