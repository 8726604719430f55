"""How every service is served: uvicorn, with connections that are held to limits."""

import resource
from functools import partial
from typing import Any, cast

import uvicorn

from modelyard_runtime.http.at_once import AnswersAtOnce
from modelyard_runtime.http.connections import Connections
from modelyard_runtime.http.limits import HttpLimits
from modelyard_runtime.http.protocol import LimitedProtocol

FILES_BESIDE_CONNECTIONS = 200
"""Sockets to Kafka, databases and endpoints, files of artifacts: what else a process has open."""


def server_config(app: Any, *, limits: HttpLimits, **more: Any) -> uvicorn.Config:
    """How a service is served; `more` are settings of uvicorn's: host, port, loop and the like."""
    room = _open_files_at_most(limits.connections_max + FILES_BESIDE_CONNECTIONS) - FILES_BESIDE_CONNECTIONS
    connections = Connections(connections_max=min(limits.connections_max, room))
    at_once = app if isinstance(app, AnswersAtOnce) else None
    protocol = partial(LimitedProtocol, limits=limits, connections=connections, at_once=at_once)
    return uvicorn.Config(
        app,
        http=cast(Any, protocol),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Nobody here asks where a request came from, so nobody is believed about it.
        proxy_headers=False,
        timeout_keep_alive=cast(int, limits.idle_timeout_s),
        **more,
    )


def _open_files_at_most(wanted: int) -> int:
    """Ask the operating system for so many open files; answers how many there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted or soft == resource.RLIM_INFINITY:
        return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    return max(soft, allowed)
