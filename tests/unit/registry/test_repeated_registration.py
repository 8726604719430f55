"""A run that registers its artifact again: which requests are the same, and which values differ."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from modelyard_events.reported import ReportedEvidence
from modelyard_events.values import ChangeType, Evidence, Stage
from modelyard_registry.models.domain import ModelVersion, SemanticVersion
from modelyard_registry.registration.command import RegisterModelVersion
from modelyard_registry.registration.repeated import (
    DIFFERENCES_TOLD_MAX,
    VersionExistsError,
    refuse_other_values,
)

NOW = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
DIGEST = f"sha256:{'0' * 64}"
EVIDENCE: dict[str, Any] = {
    "metrics": {"rmse": 4.0, "mae": 1.5},
    "parameters": {"early_stopping": True, "trees": 100},
    "hyperparameters": {"layers": [64, 32], "dropout": {"rate": 0.1}},
    "feature_schema": [{"name": "age", "datatype": "FP64"}, {"name": "amount", "datatype": "FP64"}],
    "completed_at": "2026-03-03T12:00:00Z",
    "tags": {"team": "risk"},
    "model_card": {"intended_use": "loans", "limitations": ["small loans"]},
}
FIRST = SemanticVersion(1, 2, 0)


def a_version(**facts: Any) -> ModelVersion:
    """What the run registered first, as the database answers it."""
    version = ModelVersion(
        id=UUID(int=1), registered_model_id=UUID(int=2), model="risk", number=3, semver=FIRST, stage=Stage.DEVELOPMENT,
        quarantined=False, digest=DIGEST, artifact_bytes=7, format="onnx", run_id="run-1",
        evidence=Evidence.model_validate_json(ReportedEvidence.model_validate(EVIDENCE).model_dump_json()),
        improvement=None, improvement_reason=None, revision=1, created_at=NOW, created_by="ann", updated_at=NOW,
        aliases=(),
    )  # fmt: skip
    return replace(version, **facts)


def a_repeat(changed: dict[str, Any] | None = None, **facts: Any) -> RegisterModelVersion:
    """The same run's next request, whose evidence is the first one but for `changed`."""
    command = RegisterModelVersion(
        project="lab", model="risk", digest=DIGEST, run_id="run-1", semver=None, change_type=None,
        evidence=ReportedEvidence.model_validate({**EVIDENCE, **(changed or {})}),
    )  # fmt: skip
    return replace(command, **facts)


def find_refusal(
    command: RegisterModelVersion, version: ModelVersion, *, highest_before: SemanticVersion | None
) -> VersionExistsError | None:
    try:
        refuse_other_values(command, version, highest_before=highest_before)
    except VersionExistsError as refusal:
        return refusal
    return None


def differences(
    command: RegisterModelVersion, version: ModelVersion, *, highest_before: SemanticVersion | None = None
) -> list[str]:
    """The values that the refusal names; empty when the repeat is taken."""
    refusal = find_refusal(command, version, highest_before=highest_before)
    if refusal is None:
        return []
    assert refusal.extra["version"] == version.number
    assert all(each in refusal.detail for each in refusal.extra["differs"])
    return list(refusal.extra["differs"])


@pytest.mark.parametrize(
    "spelling",
    [
        {},
        {"metrics": {"mae": 1.5, "rmse": 4}},
        {"parameters": {"trees": 100.0, "early_stopping": True}},
        {"completed_at": "2026-03-03T13:00:00+01:00"},
        {"run_id": "run-1"},
        {"hyperparameters": {"dropout": {"rate": 0.1}, "layers": [64.0, 32]}},
        {"description": None, "custom_metadata": {}},
    ],
)
def test_another_spelling_of_the_same_values_is_the_same(spelling: dict[str, Any]) -> None:
    assert differences(a_repeat(spelling), a_version()) == []


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"metrics": {"rmse": 4.1, "mae": 1.5}}, ["evidence.metrics.rmse"]),
        ({"metrics": {"rmse": 4.0, "auc": 0.5}}, ["evidence.metrics.auc", "evidence.metrics.mae"]),
        ({"metrics": {}}, ["evidence.metrics.mae", "evidence.metrics.rmse"]),
        ({"parameters": {"early_stopping": 1, "trees": 100}}, ["evidence.parameters.early_stopping"]),
        ({"parameters": {"early_stopping": True, "trees": "100"}}, ["evidence.parameters.trees"]),
        ({"hyperparameters": {"layers": [32, 64], "dropout": {"rate": 0.1}}}, ["evidence.hyperparameters.layers"]),
        ({"hyperparameters": {"layers": [64], "dropout": {"rate": 0.1}}}, ["evidence.hyperparameters.layers"]),
        (
            {"hyperparameters": {"layers": [64, 32], "dropout": {"rate": 0.2}}},
            ["evidence.hyperparameters.dropout.rate"],
        ),
        ({"feature_schema": EVIDENCE["feature_schema"][::-1]}, ["evidence.feature_schema"]),
        ({"completed_at": "2026-03-03T12:00:01Z"}, ["evidence.completed_at"]),
        ({"completed_at": None}, ["evidence.completed_at"]),
        ({"description": "another"}, ["evidence.description"]),
        ({"model_card": {"intended_use": "loans"}}, ["evidence.model_card.limitations"]),
        ({"model_card": None}, ["evidence.model_card"]),
        ({"parent": {"model": "risk", "number": 1}}, ["evidence.parent"]),
    ],
)
def test_each_value_that_differs_is_named(changed: dict[str, Any], named: list[str]) -> None:
    assert differences(a_repeat(changed), a_version()) == named


def test_very_many_differences_are_named_up_to_a_bound() -> None:
    found = differences(a_repeat({"metrics": {f"m{number}": 1.0 for number in range(100)}}), a_version())

    assert len(found) == DIFFERENCES_TOLD_MAX


def test_the_semantic_version_of_a_repeat_is_the_one_that_was_given() -> None:
    assert differences(a_repeat(semver=FIRST), a_version()) == []
    assert differences(a_repeat(semver=SemanticVersion(1, 2, 1)), a_version()) == ["semver"]


@pytest.mark.parametrize(
    ("change_type", "highest_before", "named"),
    [
        (ChangeType.MINOR, SemanticVersion(1, 1, 7), []),
        (ChangeType.PATCH, SemanticVersion(1, 1, 7), ["change_type"]),
        (ChangeType.MAJOR, SemanticVersion(1, 1, 7), ["change_type"]),
        (ChangeType.MINOR, None, ["change_type"]),
        (ChangeType.PATCH, SemanticVersion(1, 2, 999_999_999), ["change_type"]),
    ],
)
def test_the_change_type_of_a_repeat_is_the_step_that_the_version_took(
    change_type: ChangeType, highest_before: SemanticVersion | None, named: list[str]
) -> None:
    assert differences(a_repeat(change_type=change_type), a_version(), highest_before=highest_before) == named


def test_any_change_type_made_the_first_version() -> None:
    first = a_version(semver=SemanticVersion(1, 0, 0))

    assert [differences(a_repeat(change_type=each), first) for each in ChangeType] == [[], [], []]


def test_the_build_status_is_compared_until_the_version_changes() -> None:
    assert differences(a_repeat(build_status="training"), a_version()) == ["build_status"]
    assert differences(a_repeat(build_status="training"), a_version(revision=2)) == []
