"""The hot operations name their requests like all others."""

import aiohttp
import pytest

from tests.integration.router.world import TOKEN, World


@pytest.mark.integration
@pytest.mark.parametrize("path", ["/v1/route", "/v1/predict", "/v1/routes", "/readyz"])
async def test_every_answer_of_the_router_names_its_request(world: World, path: str) -> None:
    sent = {"x-request-id": "mine", "authorization": f"Bearer {TOKEN}"}
    async with world.router() as router:
        for method in ("GET", "POST"):
            async with router.session.request(method, f"{router.url}{path}", headers=sent, data=b"{}") as answer:
                assert answer.headers.getall("x-request-id") == ["mine"]
        async with router.session.post(f"{router.url}{path}", data=b"{}") as unnamed:
            assert len(unnamed.headers["x-request-id"]) == 36


@pytest.mark.integration
async def test_a_refused_id_is_refused_before_the_token_is_judged(world: World) -> None:
    async with (
        world.router() as router,
        aiohttp.ClientSession() as http,
        http.post(f"{router.url}/v1/route", headers={"x-request-id": "two words"}) as answer,
    ):
        assert answer.status == 422
        assert "two words" in (await answer.json())["detail"]
