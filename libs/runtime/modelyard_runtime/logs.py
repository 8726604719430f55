"""Structured logs: one JSON object a line, or coloured text for a person at a terminal."""

import logging
import sys
from collections.abc import Callable
from typing import Any

import structlog

from modelyard_runtime.http.request_ids import add_request_names
from modelyard_runtime.json_lines import JsonLines, json_line

# Without the frames' local variables: a request's are its headers, and they hold the caller's token.
_TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def configure_logs(*, service: str, level: str, layout: str) -> None:
    """Send structlog's events, and those of the standard library, to standard error.

    `level` is debug, info, warning or error; `layout` is json or console. Called once, in `__main__`.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        add_request_names,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if layout == "json":
        _configure_json(shared, level=level)
    else:
        _configure_console(shared)
    root = logging.getLogger()
    root.setLevel(level.upper())
    # Their every poll and heartbeat is news only to somebody who debugs them.
    for noisy in ("aiokafka", "faststream", "uvicorn.access", "yoyo"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.contextvars.bind_contextvars(service=service)


def _configure_json(shared: list[structlog.typing.Processor], *, level: str) -> None:
    # Each request has its line: the way through the standard library's records would cost it several times as much.
    structlog.configure(
        processors=[*shared, _TRACEBACKS, json_line],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_JsonLinesFactory(ignore_frame_names=[__name__]),
        cache_logger_on_first_use=True,
    )
    _handle_standard_library(shared, [_TRACEBACKS, _as_text(json_line)])


def _configure_console(shared: list[structlog.typing.Processor]) -> None:
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    _handle_standard_library(shared, [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)])


def _handle_standard_library(
    shared: list[structlog.typing.Processor], render: list[structlog.typing.Processor]
) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.getLogger().handlers = [handler]


class _JsonLinesFactory(structlog.stdlib.LoggerFactory):
    """Loggers that are named after their modules, as those of the standard library are."""

    def __call__(self, *args: Any) -> Any:
        return JsonLines(name=super().__call__(*args).name, stream=sys.stderr.buffer)


def _as_text(render: Callable[..., bytes]) -> structlog.typing.Processor:
    return lambda logger, name, event: render(logger, name, event).decode()
