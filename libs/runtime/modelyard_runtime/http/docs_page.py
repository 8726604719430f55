"""`/docs`, the documentation of a service in a browser, without anything from another host: it works without internet.

The files of Swagger UI come from the package `fastapi-offline`, which ships them; nothing else of it is used.
"""

import re
from base64 import b64encode
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

from modelyard_runtime.problems import NotFoundError

FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
KEPT_BY_BROWSERS = "public, max-age=86400"

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def install_docs_page(app: FastAPI) -> None:
    """Serve `/docs` and the files that it needs."""

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        page = get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=app.title,
            swagger_js_url=f"{root}/docs/swagger-ui-bundle.js",
            swagger_css_url=f"{root}/docs/swagger-ui.css",
            swagger_favicon_url=f"{root}/docs/favicon.png",
        )
        page.headers["content-security-policy"] = _policy_of(bytes(page.body).decode())
        return page

    @app.get("/docs/{name}", include_in_schema=False)
    async def file(name: str) -> FileResponse:
        if name not in FILES:
            raise NotFoundError(f"The documentation has no file {name!r:.100}.", fix="Open /docs.")
        return FileResponse(_files() / name, media_type=FILES[name], headers={"cache-control": KEPT_BY_BROWSERS})


def _files() -> Path:
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise NotFoundError(
            "The package fastapi-offline, which has the files of this page, is not installed.",
            fix="Install the dependencies of modelyard-runtime again, or read /openapi.json.",
        )
    return Path(spec.origin).parent / "static"


def _policy_of(page: str) -> str:
    """What the browser may load for the page: this service's own files, and the very script that is in it."""
    scripts = " ".join(
        f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in _INLINE_SCRIPT.findall(page)
    )
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
