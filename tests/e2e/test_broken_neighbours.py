"""Endpoints and feature sources that are slow, gone, failing or talking nonsense: stood in for, or told clearly."""

import pytest

from tests.world.lending import GLOBAL_MODEL, INDUSTRY_MODEL, MODEL_TYPE, Lending
from tests.world.registry import an_evidence

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

WAYS_TO_BE_BROKEN = ["failing", "nonsense", "slow", "gone"]
TIMEOUT_S = 0.5
NOT_OURS = (502, 503, 504)


async def release_at(lending: Lending, model: str, *, url: str) -> int:
    """A version that goes to production and answers at `url`."""
    digest = await lending.registry.upload(lending.artifact(model, url))
    evidence = an_evidence(rmse=1.0, parent=(GLOBAL_MODEL, 1))
    reply = await lending.registry.register(model, digest=digest, run_id="broken", evidence=evidence)
    number = int(reply.expect(201)["number"])
    (await lending.registry.move(model, number, "staging")).expect(200)
    (await lending.registry.deploy(model, number, url=url, timeout_s=TIMEOUT_S)).expect(200, 201)
    (await lending.registry.move(model, number, "production")).expect(200)
    await lending.settle()
    return number


async def quarantine(lending: Lending, model: str, number: int) -> None:
    path = f"/registered-models/{model}/versions/{number}/quarantine"
    (await lending.registry.call("PUT", path, {"quarantined": True})).expect(200)
    await lending.settle()


@pytest.mark.parametrize("model", [GLOBAL_MODEL, INDUSTRY_MODEL])
@pytest.mark.parametrize("how", WAYS_TO_BE_BROKEN)
async def test_the_champion_before_it_stands_in_for_a_broken_endpoint(lending: Lending, how: str, model: str) -> None:
    number = await release_at(lending, model, url=lending.world.models.broken_endpoint(how))
    industry = {} if model == INDUSTRY_MODEL else {"industry": "credit_card"}

    reply = await lending.router.ask(**lending.attributes("loan-1", **industry))

    parameters = reply.expect(200)["parameters"]
    assert (parameters["reason"], parameters["outcome"]) == ("fell_back", "fell_back")
    assert (parameters["fell_back_from"], parameters["fell_back_to"]) == (f"{model}/{number}", f"{model}/1")
    assert (reply.document["model_name"], reply.document["model_version"]) == (model, "1")


@pytest.mark.parametrize("how", WAYS_TO_BE_BROKEN)
async def test_the_global_model_stands_in_for_a_broken_endpoint(lending: Lending, how: str) -> None:
    await release_at(lending, INDUSTRY_MODEL, url=lending.world.models.broken_endpoint(how))
    await quarantine(lending, INDUSTRY_MODEL, 1)

    first, second = await lending.predict("loan-1"), await lending.predict("loan-1")

    for answer in (first, second):
        assert (answer.answered_by, answer.reason) == (f"{GLOBAL_MODEL}/1", "fell_back")
        assert answer.cache == "bypass", "a stand-in's answer is not kept as the decided version's"


@pytest.mark.parametrize("how", WAYS_TO_BE_BROKEN)
async def test_a_broken_endpoint_without_stand_in_is_a_clear_error(lending: Lending, how: str) -> None:
    await release_at(lending, GLOBAL_MODEL, url=lending.world.models.broken_endpoint(how))
    await quarantine(lending, GLOBAL_MODEL, 1)

    refusal = await lending.router.ask(**lending.attributes("loan-1", industry="credit_card"))

    assert refusal.status in NOT_OURS, refusal
    assert refusal.is_problem, refusal
    assert (await lending.predict("loan-1")).reason == "industry_champion", "others are served on"


@pytest.mark.parametrize("how", WAYS_TO_BE_BROKEN)
async def test_a_broken_feature_source_is_a_clear_error_and_mended_ones_are_used_at_once(
    lending: Lending, how: str
) -> None:
    models = lending.world.models
    broken = await lending.registry.read_features_from(
        models.broken_features(how), model_type=MODEL_TYPE, timeout_s=TIMEOUT_S
    )
    broken.expect(200)
    await lending.settle()

    refusal = await lending.router.ask(**lending.attributes("loan-1"))

    assert refusal.status in NOT_OURS, refusal
    assert refusal.is_problem, refusal
    await lending.read_features()
    await lending.settle()
    assert (await lending.predict("loan-1")).reason == "industry_champion"
