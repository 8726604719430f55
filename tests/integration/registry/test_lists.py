"""Lists of models and versions: every filter, every sort, and pages that leave nothing out and show nothing twice."""

import json
import uuid
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from modelyard_registry.search.sorting import parse_sort
from modelyard_registry.search.store import (
    MODEL_SORTS,
    PROJECT_VERSION_SORTS,
    VERSION_SORTS,
    ModelFilter,
    VersionFilter,
    models_statement,
    version_keys,
    versions_statement,
)

from tests.integration.registry.door import Door, versions

pytestmark = pytest.mark.integration

AUCS = (0.9, 0.7, 0.9, None, 0.8)
MANY = 20_000


async def listed(door: Door, path: str, *parameters: tuple[str, str], page_size: int = 2) -> list[dict[str, Any]]:
    """Everything that a list has, page by page."""
    items: list[dict[str, Any]] = []
    token: str | None = None
    while True:
        query = [*parameters, ("page_size", str(page_size)), *([("page_token", token)] if token else [])]
        page = (await door.call("GET", f"{path}?{urlencode(query)}")).expect(200)
        items += page["items"]
        token = page["next_page_token"]
        if token is None:
            return items


async def some_versions(door: Door) -> None:
    await door.create(tags={"tier": "1"})
    for number, auc in enumerate(AUCS, start=1):
        evidence = {
            "metrics": {} if auc is None else {"auc": auc},
            "algorithm": "forest" if number % 2 else "linear",
            "framework": "scikit-learn",
            "owner": "ann",
            "team": "lending" if number > 3 else "risk",
            "tags": {"n": str(number), "odd": str(number % 2)},
        }
        await door.register(run_id=f"run-{number}", semver=f"{9 - number}.0.0", evidence=evidence)
    (await door.move(2, "staging")).expect(200)


@pytest.mark.parametrize(
    ("sort", "numbers"),
    [
        ("number", [1, 2, 3, 4, 5]),
        ("-number", [5, 4, 3, 2, 1]),
        ("semver", [5, 4, 3, 2, 1]),
        ("-semver", [1, 2, 3, 4, 5]),
        ("created_at", [1, 2, 3, 4, 5]),
        ("-created_at", [5, 4, 3, 2, 1]),
        ("-updated_at", [2, 5, 4, 3, 1]),
        ("metric:auc", [2, 5, 1, 3]),
        ("-metric:auc", [3, 1, 5, 2]),
    ],
)
async def test_versions_are_sorted_and_each_is_on_one_page(door: Door, sort: str, numbers: list[int]) -> None:
    await some_versions(door)

    items = await listed(door, versions(), ("sort", sort))

    assert [item["number"] for item in items] == numbers


@pytest.mark.parametrize(
    ("parameters", "numbers"),
    [
        ([("stage", "staging")], [2]),
        ([("build_status", "ready"), ("review_status", "approved")], []),
        ([("run_id", "run-4")], [4]),
        ([("algorithm", "forest")], [1, 3, 5]),
        ([("framework", "scikit-learn"), ("team", "lending")], [4, 5]),
        ([("owner", "bob")], []),
        ([("semver", "v7.0.0")], [2]),
        ([("tag", "odd:1"), ("tag", "n:3")], [3]),
        ([("min_metric", "auc:0.8")], [1, 3, 5]),
        ([("min_metric", "auc:0.75"), ("max_metric", "auc:0.8")], [5]),
        ([("created_after", "2100-01-01T00:00:00Z")], []),
        ([("created_before", "2100-01-01T00:00:00+01:00"), ("algorithm", "linear")], [2, 4]),
        ([("algorithm", "forest"), ("sort", "-metric:auc")], [3, 1, 5]),
    ],
)
async def test_versions_are_filtered(door: Door, parameters: list[tuple[str, str]], numbers: list[int]) -> None:
    await some_versions(door)

    items = await listed(door, versions(), *parameters, *([] if "sort" in dict(parameters) else [("sort", "number")]))

    assert [item["number"] for item in items] == numbers


async def test_the_versions_of_a_project_are_listed_across_its_models(door: Door) -> None:
    await door.create("a")
    await door.create("b", model_type="forecasting", scope="tenant", tenant="acme")
    await door.create("gone")
    for name, auc in (("a", 0.7), ("b", 0.9), ("gone", 0.95), ("a", 0.8)):
        await door.register(name, evidence={"metrics": {"auc": auc}})
    (await door.call("DELETE", "/registered-models/gone")).expect(200)

    newest = await listed(door, "/model-versions")
    best = await listed(door, "/model-versions", ("sort", "-metric:auc"))
    of_tenant = await listed(door, "/model-versions", ("tenant", "acme"), ("model_type", "forecasting"))

    assert [(each["model"], each["number"]) for each in newest] == [("a", 2), ("b", 1), ("a", 1)]
    assert [(each["model"], each["number"]) for each in best] == [("b", 1), ("a", 2), ("a", 1)]
    assert [each["model"] for each in of_tenant] == ["b"]


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ([], ["a", "b", "c"]),
        ([("sort", "-name")], ["c", "b", "a"]),
        ([("sort", "-created_at")], ["b", "a", "c"]),
        ([("sort", "updated_at")], ["a", "b", "c"]),
        ([("owner", "ann")], ["a", "c"]),
        ([("team", "risk")], ["b"]),
        ([("tag", "tier:1")], ["a", "b"]),
        ([("name_contains", "B")], ["b"]),
        ([("model_type", "forecasting"), ("scope", "industry"), ("industry", "retail")], ["b"]),
        ([("created_after", "2100-01-01T00:00:00Z")], []),
    ],
)
async def test_models_are_filtered_and_sorted(door: Door, parameters: list[tuple[str, str]], names: list[str]) -> None:
    await door.create("c", owner="ann")
    await door.create("a", owner="ann", tags={"tier": "1"})
    await door.create(
        "b", team="risk", tags={"tier": "1"}, model_type="forecasting", scope="industry", industry="retail"
    )
    (await door.call("PATCH", "/registered-models/c", {"description": "changed last"})).expect(200)

    items = await listed(door, "/registered-models", *parameters)

    assert [item["name"] for item in items] == names


@pytest.mark.parametrize(
    "query",
    ["sort=colour", "sort=metric:", "sort=--number", "algoritm=forest", "tag=tier", "tag=:1", "min_metric=auc",
     "min_metric=auc:high", "min_metric=auc:nan", "created_after=2026-01-01T00:00:00", "stage=none", "page_size=0",
     "semver=1.0"],
)  # fmt: skip
async def test_a_filter_that_would_be_overlooked_is_refused(door: Door, query: str) -> None:
    await door.create()

    reply = await door.call("GET", f"{versions()}?{query}")

    assert reply.status == 422
    assert reply.is_problem


@pytest.mark.parametrize("other", ["number", "-created_at", "metric:auc"])
async def test_a_page_token_belongs_to_its_sort(door: Door, other: str) -> None:
    await some_versions(door)
    page = (await door.call("GET", f"{versions()}?page_size=2")).expect(200)

    reply = await door.call("GET", versions(), query={"page_token": page["next_page_token"], "sort": other})

    assert reply.status == 422
    assert reply.is_problem


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.sampled_from([-1.5, 0.0, 0.1, 0.2, 1e300]), min_size=1, max_size=6),
    sort=st.sampled_from(["number", "-number", "metric:x", "-metric:x", "-created_at", "semver"]),
    page_size=st.integers(1, 4),
)
async def test_pages_together_are_the_whole_list(door: Door, values: list[float], sort: str, page_size: int) -> None:
    name = f"m-{uuid.uuid4().hex[:8]}"
    await door.create(name)
    for value in values:
        await door.register(name, evidence={"metrics": {"x": value}})

    paged = await listed(door, versions(name), ("sort", sort), page_size=page_size)
    whole = await listed(door, versions(name), ("sort", sort), page_size=200)

    assert paged == whole
    assert sorted(item["number"] for item in paged) == list(range(1, len(values) + 1))


async def test_no_page_of_a_long_list_reads_the_whole_table(door: Door) -> None:
    model = await door.create()
    model_id = uuid.UUID(model["registered_model_id"])
    async with door.database.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await many_versions(connection, project=door.project, model_id=model_id)
            plans = {
                f"{'project' if wanted.registered_model_id is None else 'model'} {direction}{name}": await plan_of(
                    connection, wanted, f"{direction}{name}"
                )
                for wanted, known in (
                    (VersionFilter(project=door.project, registered_model_id=model_id), VERSION_SORTS),
                    (VersionFilter(project=door.project), PROJECT_VERSION_SORTS),
                )
                for name in (each + "auc" if each.endswith(":") else each for each in known)
                for direction in ("", "-")
            }
            statement, arguments = models_statement(
                ModelFilter(project=door.project), parse_sort("name", known=MODEL_SORTS), after=["m-5"], limit=101
            )
            plans["models"] = await explained(connection, statement, arguments)
        finally:
            await transaction.rollback()

    offenders = {
        name: kinds for name, kinds in plans.items() if any("Seq Scan" in kind or kind == "Sort" for kind in kinds)
    }
    assert offenders == {}


async def many_versions(connection: Any, *, project: str, model_id: uuid.UUID) -> None:
    evidence = {"metrics": {"auc": 0.5}, "feature_schema": []}
    await connection.execute(
        """
        INSERT INTO model_versions (id, registered_model_id, project, number, semver, stage, digest, artifact_bytes,
            format, evidence, created_at, updated_at, created_by)
        SELECT gen_random_uuid(), $1, $2, n, ARRAY[1, n, 0], 'development', 'sha256:' || repeat('0', 64), 1, 'onnx',
            $3, now() + n * interval '1 second', now() + n * interval '1 second', 'ann'
        FROM generate_series(1, $4::int) AS n
        """,
        model_id,
        project,
        evidence,
        MANY,
    )
    await connection.execute(
        "INSERT INTO version_metrics (version_id, name, value, number, registered_model_id, project)"
        " SELECT id, 'auc', number, number, registered_model_id, project FROM model_versions WHERE project = $1",
        project,
    )
    await connection.execute(
        "INSERT INTO registered_models (id, project, name, model_type, scope, created_at, created_by, updated_at)"
        " SELECT gen_random_uuid(), $1, 'm-' || n, 'risk', 'global', now(), 'ann', now()"
        " FROM generate_series(1, $2::int) n",
        project,
        MANY,
    )
    await connection.execute("ANALYZE model_versions")
    await connection.execute("ANALYZE version_metrics")
    await connection.execute("ANALYZE registered_models")


async def plan_of(connection: Any, wanted: VersionFilter, text: str) -> set[str]:
    of_project = wanted.registered_model_id is None
    sort = parse_sort(text, known=PROJECT_VERSION_SORTS if of_project else VERSION_SORTS)
    first = await connection.fetchrow(
        "SELECT number, semver, created_at, updated_at, id FROM model_versions WHERE project = $1 AND number = $2",
        wanted.project,
        MANY // 2,
    )
    last = first["id"] if of_project else first["number"]
    value = float(MANY // 2) if sort.metric else first[sort.by]
    after = [value, last][: len(version_keys(sort, of_project=of_project))]
    return await explained(connection, *versions_statement(wanted, sort, after=after, limit=101))


async def explained(connection: Any, statement: str, arguments: list[Any]) -> set[str]:
    [row] = await connection.fetch(f"EXPLAIN (FORMAT JSON) {statement}", *arguments)
    plan = json.loads(row[0]) if isinstance(row[0], str) else row[0]
    return set(kinds_of(plan[0]["Plan"]))


def kinds_of(node: dict[str, Any]) -> list[str]:
    inner = [] if node.get("Parent Relationship") == "SubPlan" else node.get("Plans", [])
    return [node["Node Type"], *(each for child in inner for each in kinds_of(child))]
