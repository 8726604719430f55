"""The FastAPI application as every service builds it: what all of them have in common is here once."""

import time
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from modelyard_runtime.http.access_log import AccessLog
from modelyard_runtime.http.docs_page import install_docs_page
from modelyard_runtime.http.request_ids import RequestIds
from modelyard_runtime.ids import NewId
from modelyard_runtime.settings import ServiceSettings


class ServiceApp(FastAPI):
    """A FastAPI application whose every answer, also that of an unexpected error, names its request.

    `about` is what FastAPI takes: title, summary, version, lifespan.
    """

    def __init__(self, *, new_id: NewId, access_log: AccessLog, **about: Any) -> None:
        # The framework's own pages load their scripts from another host.
        super().__init__(docs_url=None, redoc_url=None, **about)
        self._new_id = new_id
        self._access_log = access_log
        install_docs_page(self)

    def build_middleware_stack(self) -> ASGIApp:
        """The application with its middleware. Names come outside of the framework's own last resort for errors."""
        return RequestIds(super().build_middleware_stack(), new_id=self._new_id, access_log=self._access_log)


def access_log_of(settings: ServiceSettings) -> AccessLog:
    """The access log as the settings want it."""
    return AccessLog(enabled=settings.access_log, sample=settings.access_log_sample, seconds=time.perf_counter)
