"""Acts one to three: models are trained on real loans, published in two ways, and taken to production."""

import asyncio
import time
import uuid
from datetime import UTC, datetime

from modelyard_examples.cloud_events import open_producer
from modelyard_examples.demo.screen import Screen
from modelyard_examples.demo.waiting import until
from modelyard_examples.demo.world import PROJECT, World
from modelyard_examples.fitting import FittedModel, fit
from modelyard_examples.loans import read_split_loans
from modelyard_examples.publishing import publish_over_http, publish_over_kafka
from modelyard_examples.recipes import (
    CREDIT_CARD_V1,
    DEBT_CONSOLIDATION_V1,
    DEBT_CONSOLIDATION_V2,
    GLOBAL_V1,
    MODEL_TYPE,
    Recipe,
)
from modelyard_examples.registry_client import Document, RegistryClient, RegistryError
from modelyard_examples.signing import read_signing_key

DEMO_RECIPES = (GLOBAL_V1, CREDIT_CARD_V1, DEBT_CONSOLIDATION_V1, DEBT_CONSOLIDATION_V2)
WAY_TO_PRODUCTION = ("staging", "canary", "production")


async def train(screen: Screen) -> dict[str, FittedModel]:
    """Fit every model of the demo; the answer is by recipe name."""
    screen.act("Train", "10,000 real loans: tenants are states, industries are loan purposes, one in five is held out.")
    fitted: dict[str, FittedModel] = {}
    data = await asyncio.to_thread(read_split_loans)
    with screen.counting("training", total=len(DEMO_RECIPES)) as advance:
        for recipe in DEMO_RECIPES:
            fitted[recipe.name] = await asyncio.to_thread(fit, recipe, data=data)
            advance()
    screen.table(
        "model", "algorithm", "training loans", "error on held-out loans", "seconds",
        rows=[
            (
                each.recipe.model,
                each.recipe.algorithm.__name__,
                f"{each.training_examples:,}",
                f"{each.metrics[each.recipe.primary_metric]:.3f} ({each.recipe.primary_metric})",
                f"{each.seconds:.1f}",
            )
            for each in fitted.values()
        ],
    )  # fmt: skip
    return fitted


async def publish(screen: Screen, world: World, fitted: dict[str, FittedModel]) -> dict[str, Document]:
    """Publish the models: one through an event on Kafka, the others through HTTP; versions by recipe name."""
    screen.act(
        "Publish", "Artifacts go in under their SHA-256; the registry numbers versions and computes improvement."
    )
    versions: dict[str, Document] = {}
    versions[GLOBAL_V1.name] = await _over_http(world, fitted[GLOBAL_V1.name])
    parent = {"model": GLOBAL_V1.model, "number": versions[GLOBAL_V1.name]["number"]}
    versions[CREDIT_CARD_V1.name] = await _over_http(world, fitted[CREDIT_CARD_V1.name], parent=parent)
    with screen.waiting("a training job announces its run on Kafka"):
        versions[DEBT_CONSOLIDATION_V1.name] = await _over_kafka(world, fitted[DEBT_CONSOLIDATION_V1.name], parent)
    versions[DEBT_CONSOLIDATION_V2.name] = await _over_http(world, fitted[DEBT_CONSOLIDATION_V2.name], parent=parent)
    screen.table(
        "version", "semver", "published by", "training loans", "better than its parent by",
        rows=[
            (
                f"{version['model']}:{version['number']}",
                version["semver"],
                "Kafka event" if name == DEBT_CONSOLIDATION_V1.name else "HTTP",
                f"{version['evidence']['training_examples']:,}",
                "-" if version["improvement"] is None else f"{version['improvement']:.1%}",
            )
            for name, version in versions.items()
        ],
    )  # fmt: skip
    debt, card = versions[DEBT_CONSOLIDATION_V1.name], versions[CREDIT_CARD_V1.name]
    screen.claim(
        "debt_consolidation passes the rule for industry models: more than 3,000 examples, more than 5 % better",
        held=debt["evidence"]["training_examples"] > 3_000 and debt["improvement"] > 0.05,
        seen=f"{debt['evidence']['training_examples']:,} examples, {debt['improvement']:.1%} better",
    )
    screen.claim(
        "credit_card is better too, but from too few examples",
        held=card["evidence"]["training_examples"] <= 3_000,
        seen=f"{card['evidence']['training_examples']:,} examples, {card['improvement']:.1%} better",
    )
    return versions


async def promote(screen: Screen, world: World, versions: dict[str, Document]) -> None:
    """Take the first version of each registered model to production, and show what is refused on the way."""
    screen.act("Promote", "Stages are guarded: an impossible move is refused and says which moves are possible.")
    first = versions[GLOBAL_V1.name]
    try:
        await world.registry.transition(first["model"], first["number"], to_stage="production", reason="in a hurry")
        refusal = None
    except RegistryError as error:
        refusal = error
    screen.claim(
        "development → production is refused",
        held=refusal is not None and refusal.status == 409,
        seen=str(refusal or "it was allowed"),
    )
    delays_ms = []
    for name in (GLOBAL_V1.name, CREDIT_CARD_V1.name, DEBT_CONSOLIDATION_V1.name):
        version = versions[name]
        with screen.waiting(f"{version['model']}:{version['number']} on its way to production"):
            delays_ms.append(await take_to_production(world, version))
        screen.say(f"{version['model']}:{version['number']} is champion of its slot")
    await world.registry.call(
        "PUT",
        f"/routes/{MODEL_TYPE}/feature-source",
        {"url_template": world.feature_url_template, "timeout_s": 2.0},
    )
    await until("the router reads features", lambda: _router_has_feature_source(world))
    screen.claim(
        "a promotion is served by the router within a second of its answer",
        held=max(delays_ms) < 1_000,
        seen=f"slowest of {len(delays_ms)}: {max(delays_ms):.0f} ms",
    )


async def take_to_production(world: World, version: Document) -> float:
    """Stage, deploy and promote a version; answers the milliseconds from the last answer until it is routed to."""
    await deploy(world, version)
    model, number = version["model"], version["number"]
    for stage in WAY_TO_PRODUCTION[1:]:
        await world.registry.transition(model, number, to_stage=stage, reason="measured on held-out loans")
    answered_at = time.perf_counter()
    await until(f"the router serves {model}:{number}", lambda: router_serves(world, model, number), interval_s=0.001)
    return (time.perf_counter() - answered_at) * 1_000


async def deploy(world: World, version: Document) -> None:
    """Move a version to staging, wait until the model server has it, and record where it answers."""
    model, number = version["model"], version["number"]
    await world.registry.transition(model, number, to_stage="staging", reason="ready to be tried")
    url = world.endpoint_of(model, number)
    await until(f"the model server has {model}:{number}", lambda: _is_loaded(world, model, number))
    await world.registry.record_deployment(model, number, url=url)


async def router_serves(world: World, model: str, number: int) -> bool:
    """Whether the router's table has the version as a champion."""
    champions = [champion for route in await world.router.routes() for champion in route["document"]["champions"]]
    return any(champion["model"] == model and champion["number"] == number for champion in champions)


async def _router_has_feature_source(world: World) -> bool:
    return any(route["document"]["feature_source"] for route in await world.router.routes())


async def _is_loaded(world: World, model: str, number: int) -> bool:
    return await world.answers(f"{world.model_server_url}/v2/models/{model}/versions/{number}/ready")


async def _over_http(world: World, fitted: FittedModel, *, parent: Document | None = None) -> Document:
    version = await publish_over_http(
        fitted, registry=world.registry, run_id=f"{fitted.recipe.name}-{uuid.uuid4().hex[:8]}", parent=parent
    )
    return await world.registry.get_version(version["model"], version["number"])


async def _over_kafka(world: World, fitted: FittedModel, parent: Document) -> Document:
    async with open_producer(world.kafka_bootstrap) as producer:
        await publish_over_kafka(
            fitted,
            registry=world.registry,
            producer=producer,
            project=PROJECT,
            run_id=f"{fitted.recipe.name}-{uuid.uuid4().hex[:8]}",
            event_id=str(uuid.uuid4()),
            occurred_at=datetime.now(UTC),
            signing_key=read_signing_key(world.training_key_file),
            topic_prefix=world.system.topic_prefix,
            parent=parent,
        )
    found: list[Document] = []

    async def is_registered() -> bool:
        found[:] = await _versions_of(world.registry, fitted.recipe, digest=fitted.digest)
        return bool(found)

    await until("the registry has registered the run", is_registered)
    return found[0]


async def _versions_of(registry: RegistryClient, recipe: Recipe, *, digest: str) -> list[Document]:
    return [version async for version in registry.list_versions(recipe.model) if version["digest"] == digest]
