"""A training job publishes what it made, and says so plainly when it cannot."""

import asyncio
from collections.abc import Mapping

import pytest
from modelyard_examples.fitting import FittedModel
from modelyard_examples.publishing import publish_over_http
from modelyard_examples.registry_client import RegistryClient, RegistryError
from modelyard_examples.training import main

from tests.serving import serving
from tests.unit.examples.fake_registry import TOKEN, FakeRegistry


async def test_publishing_creates_the_model_once_uploads_the_bytes_and_registers_versions(
    fitted_models: Mapping[str, FittedModel],
) -> None:
    registry = FakeRegistry()
    first, second = fitted_models["debt-consolidation"], fitted_models["debt-consolidation-boosted"]
    steps: list[str] = []
    parent = {"model": "risk-scoring", "number": 1}

    async with serving(registry.app()) as url, RegistryClient(url, token=TOKEN) as client:
        for run_id, fitted in (("run-1", first), ("run-2", second)):
            version = await publish_over_http(
                fitted, registry=client, run_id=run_id, parent=parent, on_progress=steps.append
            )
        listed = [each["number"] async for each in client.list_versions(first.recipe.model)]

    assert version["number"] == 2
    assert listed == [1, 2]
    assert registry.artifacts[first.digest] == first.artifact
    assert registry.models[first.recipe.model]["primary_metric"] == "rmse_debt_consolidation"
    assert registry.models[first.recipe.model]["higher_is_better"] is False
    assert version["evidence"]["parent"] == parent
    assert [step.split()[0] for step in steps] == [
        "created", "uploading", "registering", "uploading", "registering",
    ]  # fmt: skip


async def test_lists_are_read_to_their_last_page(global_model: FittedModel) -> None:
    registry = FakeRegistry()
    for _ in range(5):
        registry.add_version("risk-scoring", digest=global_model.digest, artifact=b"")

    async with serving(registry.app()) as url, RegistryClient(url, token=TOKEN) as client:
        numbers = [version["number"] async for version in client.list_versions("risk-scoring")]

    assert numbers == [1, 2, 3, 4, 5]


async def test_a_refusal_carries_the_registrys_own_words() -> None:
    async with serving(FakeRegistry().app()) as url, RegistryClient(url, token="nobody's") as client:
        with pytest.raises(RegistryError) as refusal:
            await client.create_registered_model({"name": "m"})

    assert refusal.value.status == 401
    assert refusal.value.detail == "Not authenticated no token"


async def test_the_command_fails_with_a_sentence_when_there_is_no_registry(
    capsys: pytest.CaptureFixture[str],
) -> None:
    exit_code = await asyncio.to_thread(main, ["global", "--registry", "http://127.0.0.1:9", "--token", "t"])

    assert exit_code == 1
    assert "not published: ClientConnectorError" in capsys.readouterr().err


def test_a_dry_run_shows_the_figures_and_publishes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code = main(["global", "--dry-run", "--registry", "http://127.0.0.1:9"])

    assert exit_code == 0
    assert "rmse_debt_consolidation" in capsys.readouterr().out
