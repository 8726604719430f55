"""Evidence is taken at its word: nothing that a training job reports is dropped, changed or chosen among."""

from typing import Any

import pytest
from modelyard_events.reported import ReportedEvidence
from modelyard_events.training import TrainingRunCompleted
from pydantic import ValidationError

A_RUN = {"project": "bank", "model": "risk", "run_id": "r1", "digest": f"sha256:{'0' * 64}"}
X = {"name": "x", "datatype": "FP64"}
E_ACUTE = ("\u00e9", "e\u0301")


def refusals(evidence: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ValidationError) as refused:
        ReportedEvidence.model_validate(evidence)
    return {".".join(str(part) for part in each["loc"]): each["msg"] for each in refused.value.errors()}


@pytest.mark.parametrize(
    ("evidence", "where", "says"),
    [
        ({"metric": {"auc": 1}}, "metric", "did you mean `metrics`?"),
        ({"git_sha": "0a1b"}, "git_sha", "did you mean `git_commit`?"),
        ({"hyperparams": {}}, "hyperparams", "did you mean `hyperparameters`?"),
        ({"quux": 1}, "quux", "belong in `custom_metadata`"),
        ({"parent": {"model": "base", "number": 1, "stage": "x"}}, "parent.stage", "there are model, number"),
        ({"model_card": {"limits": []}}, "model_card.limits", "did you mean `limitations`?"),
        ({"feature_schema": [{**X, "dtype": "x"}]}, "feature_schema.0.dtype", "did you mean `datatype`?"),
    ],
)
def test_a_field_that_evidence_does_not_have_is_refused_by_name_with_a_guess(
    evidence: dict[str, Any], where: str, says: str
) -> None:
    assert says in refusals(evidence)[where]


@pytest.mark.parametrize("wrong", [False, True, "4", "8000", [1], {"value": 1}])
@pytest.mark.parametrize(
    "field",
    [
        "performance_score", "business_value", "cost_per_inference", "training_duration_s", "training_examples",
        "validation_examples", "test_examples", "metrics.rmse", "feature_importance.x", "parent.number",
    ],
)  # fmt: skip
def test_a_truth_value_or_a_text_is_no_number_anywhere_in_evidence(field: str, wrong: object) -> None:
    outer, _, inner = field.partition(".")
    parent = {"model": "base"} if outer == "parent" else {}

    assert field in refusals({outer: {**parent, inner: wrong} if inner else wrong})


@pytest.mark.parametrize(
    ("evidence", "where"),
    [
        ({"training_examples": 1.0}, "training_examples"),
        ({"training_examples": 2**53 + 1}, "training_examples"),
        ({"parent": {"model": "base", "number": 2**31}}, "parent.number"),
        ({"metrics": {"m" * 201: 1.0}}, "metrics." + "m" * 201 + ".[key]"),
        ({"metrics": {"": 1.0}}, "metrics..[key]"),
        ({"metrics": {"a": float("nan")}}, "metrics.a"),
        ({"metrics": {"a": float("inf")}}, "metrics.a"),
        ({"metrics": {"a": 2**53 + 1}}, "metrics.a"),
        ({"metrics": {"a": 10**400}}, "metrics.a"),
        ({"metrics": {str(number): 1 for number in range(201)}}, "metrics"),
        ({"tags": {"t" * 201: ""}}, "tags." + "t" * 201 + ".[key]"),
        ({"tags": {"team": 1}}, "tags.team"),
        ({"tags": {"te\0am": ""}}, "tags.te\0am.[key]"),
        ({"tags": {"team": "\ud800"}}, "tags.team"),
        ({"description": "a\0b"}, "description"),
        ({"parameters": {"lr": {"start": 1}}}, "parameters.lr"),
        ({"parameters": {"seed": 10**40}}, "parameters.seed"),
        ({"parameters": {"notes": "x" * 6_001}}, "parameters.notes"),
        ({"hyperparameters": {"a": "\udfff"}}, "hyperparameters"),
        ({"started_at": "9999-12-31T23:59:59-05:00"}, "started_at"),
        ({"started_at": "0001-01-01T00:00:00+05:00"}, "started_at"),
        ({"feature_schema": [X, {**X, "datatype": "INT64"}]}, "feature_schema"),
        ({"target_schema": [X, X]}, "target_schema"),
        ({"feature_list": ["x", "y", "x"]}, "feature_list"),
        ({"feature_list": E_ACUTE}, "feature_list"),
    ],
)
def test_what_a_later_part_could_not_carry_or_would_choose_among_is_refused(
    evidence: dict[str, Any], where: str
) -> None:
    assert where in refusals(evidence)


def test_nested_parameters_are_told_where_they_belong() -> None:
    assert refusals({"parameters": {"lr": [1]}})["parameters.lr"].endswith("send this in `hyperparameters`")


def test_evidence_within_its_bounds_is_kept_as_it_was_said() -> None:
    said = {
        "metrics": {"m" * 200: 1, "\U0001f600" * 200: -0.5, "big": 2**60},
        "parameters": {"a": 1, "b": 1.5, "c": True, "d": "4", "e": None, "f": -(10**30)},
        "training_examples": 2**53,
        "parent": {"model": "base", "number": 2**31 - 1},
        "tags": {E_ACUTE[0]: "", E_ACUTE[1]: ""},
        "feature_schema": [X, {**X, "name": "X"}],
        "started_at": "9999-12-31T23:59:59.999999Z",
    }

    kept = ReportedEvidence.model_validate(said).model_dump(mode="json", exclude_defaults=True)

    assert kept == said
    assert [type(value) for value in kept["parameters"].values()] == [int, float, bool, str, type(None), int]


@pytest.mark.parametrize("digit", ["\u0663", "\uff10", "\u0967"])
@pytest.mark.parametrize("semver", ["1.5{}.0", "{}.1.0", "1.0.{}"])
def test_a_digit_is_one_of_0_to_9(digit: str, semver: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TrainingRunCompleted.model_validate({**A_RUN, "semver": semver.format(digit)})

    assert "digits 0 to 9" in str(refused.value)


@pytest.mark.parametrize(
    ("moment", "says"),
    [
        ("2026-03-03T12:00:00 01:00", "write + as %2B"),
        ("2026-03-03T12:00:00", "offset from UTC"),
        ("2026-03-03", "offset from UTC"),
        ("2026-03-03T12:00:00.123456789Z", "microseconds"),
        ("1767225600", "write it as RFC 3339 does"),
        ("2026-03-0\u0663T12:00:00Z", "write it as RFC 3339 does"),
        ("9999-12-31T23:59:59-00:01", "lies outside of 0001-01-01T00:00:00+00:00"),
        ("2026-02-30T12:00:00Z", "day"),
        (1767225600, "write it as RFC 3339 does"),
        ("2" * 1_000_000, "write it as RFC 3339 does"),
    ],
)
def test_a_moment_that_is_none_is_told_what_is_wrong_with_it(moment: object, says: str) -> None:
    assert says in refusals({"started_at": moment})["started_at"]
