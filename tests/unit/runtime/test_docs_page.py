"""The documentation of a service loads nothing from another host, so that it can be read without internet."""

import re
from collections.abc import AsyncIterator
from time import perf_counter

import aiohttp
import pytest
from modelyard_runtime.http.access_log import AccessLog
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.problems import install_problems
from modelyard_runtime.service_app import ServiceApp

from tests.serving import serving


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    log = AccessLog(enabled=False, sample=1.0, seconds=perf_counter)
    app = ServiceApp(new_id=new_uuid7, access_log=log, title="A service")
    install_problems(app)
    async with serving(app) as url, aiohttp.ClientSession(url) as session:
        yield session


async def test_everything_that_the_page_loads_is_served_by_the_service_itself(http: aiohttp.ClientSession) -> None:
    async with http.get("/docs") as answer:
        page = await answer.text()
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page)

    assert sorted(loaded) == ["/docs/favicon.png", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"]
    for address in loaded:
        async with http.get(address) as file:
            assert file.status == 200
            assert len(await file.read()) > 1_000


async def test_the_browser_is_told_to_load_nothing_else(http: aiohttp.ClientSession) -> None:
    async with http.get("/docs", headers={"host": "evil.example"}) as answer:
        policy = answer.headers["content-security-policy"]
        page = await answer.text()

    assert policy.startswith("default-src 'none'; script-src 'self' 'sha256-")
    assert "http" not in policy
    assert "evil.example" not in page


async def test_the_scripts_of_the_page_hold_no_address_of_a_script_elsewhere(http: aiohttp.ClientSession) -> None:
    async with http.get("/docs") as answer:
        page = await answer.text()

    assert re.findall(r"https?://[^\s\"']+", page) == []


@pytest.mark.parametrize("address", ["/redoc", "/docs/other.js", "/docs/..%2Fsettings.py"])
async def test_there_is_nothing_else(http: aiohttp.ClientSession, address: str) -> None:
    async with http.get(address) as answer:
        assert answer.status == 404
