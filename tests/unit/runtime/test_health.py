"""What a service says of itself: ready, not ready, or ready and in need of a person."""

import aiohttp
from fastapi import FastAPI
from modelyard_runtime.health import Health, HealthCheck, operations

from tests.serving import serving


class Part:
    """A part that says what it was told to."""

    def __init__(self, check: HealthCheck) -> None:
        self._check = check

    def check(self) -> HealthCheck:
        return self._check


SOUND = Part(HealthCheck(name="sound", ok=True))
DEGRADED_PART = Part(HealthCheck(name="relay", ok=True, degraded=True, detail="2 rows are set aside"))
BROKEN = Part(HealthCheck(name="broken", ok=False, detail="gone"))


async def asked(*parts: Part, path: str = "/readyz") -> tuple[int, str]:
    app = FastAPI()
    app.include_router(operations(Health(parts)))
    async with serving(app) as url, aiohttp.ClientSession(url) as http, http.get(path) as reply:
        return reply.status, await reply.text()


async def test_a_part_that_needs_a_person_does_not_make_the_service_unready() -> None:
    status, text = await asked(SOUND, DEGRADED_PART)

    assert status == 200
    assert '"degraded":true' in text
    assert "2 rows are set aside" in text


async def test_a_service_whose_parts_are_sound_is_not_degraded() -> None:
    status, text = await asked(SOUND)

    assert status == 200
    assert '"degraded":false' in text


async def test_a_broken_part_makes_the_service_unready_however_many_are_degraded() -> None:
    status, _ = await asked(DEGRADED_PART, BROKEN)

    assert status == 503


async def test_the_metrics_count_the_degraded_parts() -> None:
    _, text = await asked(SOUND, DEGRADED_PART, path="/metrics")

    assert "runtime_degraded_parts 1.0" in text
