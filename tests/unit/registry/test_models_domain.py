"""How versions get their identity, and when one may say that it is better than another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_events.values import ChangeType, Evidence
from modelyard_registry.models.domain import (
    SEMVER_PART_MAX,
    AliasReference,
    Improvement,
    Latest,
    SemanticVersion,
    SemverExhaustedError,
    SemverInvalidError,
    VersionReferenceInvalidError,
    decide_improvement,
    decide_semver,
    describe_reference,
    parse_reference,
)
from modelyard_registry.registration.command import RegisterModelVersion, RunIdContradictionError, decide_run_id

PARTS = st.integers(0, SEMVER_PART_MAX - 1)
VERSIONS = st.builds(SemanticVersion, PARTS, PARTS, PARTS)


def an_evidence(rmse: float | None = 4.0, *, data: str | None = "holdout-1", run_id: str | None = None) -> Evidence:
    metrics = {} if rmse is None else {"rmse": rmse}
    return Evidence(metrics=metrics, validation_data_version=data, run_id=run_id)


def improvement_of(
    child: Evidence, parent: Evidence | None, *, metric: str | None = "rmse", higher_is_better: bool = False
) -> Improvement:
    return decide_improvement(child, parent, primary_metric=metric, higher_is_better=higher_is_better)


def a_command(*, run_id: str | None, evidence_run_id: str | None) -> RegisterModelVersion:
    return RegisterModelVersion(
        project="default",
        model="risk",
        digest="sha256:" + "0" * 64,
        run_id=run_id,
        semver=None,
        change_type=None,
        evidence=an_evidence(run_id=evidence_run_id),
    )


@pytest.mark.parametrize("change_type", [None, *ChangeType])
def test_the_first_version_is_1_0_0_whatever_the_change(change_type: ChangeType | None) -> None:
    assert str(decide_semver(explicit=None, change_type=change_type, highest=None)) == "1.0.0"


@pytest.mark.parametrize(
    ("change_type", "expected"),
    [(None, "1.3.0"), (ChangeType.MAJOR, "2.0.0"), (ChangeType.MINOR, "1.3.0"), (ChangeType.PATCH, "1.2.4")],
)
def test_a_change_type_steps_from_the_highest_version(change_type: ChangeType | None, expected: str) -> None:
    semver = decide_semver(explicit=None, change_type=change_type, highest=SemanticVersion(1, 2, 3))

    assert str(semver) == expected


def test_an_explicit_version_may_be_lower_than_the_highest() -> None:
    backport = SemanticVersion(1, 2, 4)

    assert decide_semver(explicit=backport, change_type=None, highest=SemanticVersion(3, 0, 0)) == backport


@given(VERSIONS, st.sampled_from(ChangeType))
def test_every_step_leads_to_a_higher_version_that_can_be_spelled(
    highest: SemanticVersion, change_type: ChangeType
) -> None:
    semver = decide_semver(explicit=None, change_type=change_type, highest=highest)

    assert semver > highest
    assert SemanticVersion.find(f"v{semver}") == semver


def test_a_step_beyond_what_can_be_spelled_is_refused() -> None:
    with pytest.raises(SemverExhaustedError, match="no patch step"):
        decide_semver(explicit=None, change_type=ChangeType.PATCH, highest=SemanticVersion(1, 0, SEMVER_PART_MAX))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", 3),
        ("latest", Latest.LATEST),
        ("1.2.0", SemanticVersion(1, 2, 0)),
        ("v1.2.0", SemanticVersion(1, 2, 0)),
    ],
)
def test_a_version_is_named_by_number_semver_or_latest(text: str, expected: object) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "01", "1.2", "1.02.0", "LATEST", "1e3", "٣", "1\n", "9999999999", "../1", "1.0.0-rc1"]
)
def test_anything_else_names_no_version(text: str) -> None:
    with pytest.raises(VersionReferenceInvalidError):
        parse_reference(text)


def test_lower_is_better_turns_the_sign_of_the_improvement() -> None:
    child, parent = an_evidence(3.8), an_evidence(4.0)

    assert improvement_of(child, parent).value == pytest.approx(0.05)
    assert improvement_of(child, parent, higher_is_better=True).value == pytest.approx(-0.05)


def test_improvement_on_a_negative_metric_is_positive_when_it_rises() -> None:
    child, parent = an_evidence(-1.0), an_evidence(-2.0)

    assert improvement_of(child, parent, higher_is_better=True).value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("child", "parent", "metric", "reason"),
    [
        (an_evidence(), None, "rmse", "names no parent"),
        (an_evidence(), an_evidence(), None, "no primary_metric"),
        (an_evidence(None), an_evidence(), "rmse", "version's evidence has no metric"),
        (an_evidence(), an_evidence(None), "rmse", "parent's evidence has no metric"),
        (an_evidence(data=None), an_evidence(), "rmse", "version's evidence names no validation_data_version"),
        (an_evidence(), an_evidence(data="holdout-2"), "rmse", "other validation data"),
        (an_evidence(), an_evidence(0.0), "rmse", "is 0"),
        (an_evidence(1e308), an_evidence(1e-308), "rmse", "too far apart"),
    ],
)
def test_what_cannot_be_compared_has_no_improvement_but_a_reason(
    child: Evidence, parent: Evidence | None, metric: str | None, reason: str
) -> None:
    improvement = improvement_of(child, parent, metric=metric)

    assert improvement.value is None
    assert improvement.reason is not None
    assert reason in improvement.reason


def test_the_run_is_taken_from_wherever_it_is_given() -> None:
    assert decide_run_id(a_command(run_id="a", evidence_run_id=None)) == "a"
    assert decide_run_id(a_command(run_id=None, evidence_run_id="a")) == "a"
    assert decide_run_id(a_command(run_id="a", evidence_run_id="a")) == "a"
    assert decide_run_id(a_command(run_id=None, evidence_run_id=None)) is None


def test_two_different_runs_are_refused() -> None:
    with pytest.raises(RunIdContradictionError):
        decide_run_id(a_command(run_id="a", evidence_run_id="b"))


def test_the_last_number_that_a_part_can_hold_is_given() -> None:
    highest = SemanticVersion(1, SEMVER_PART_MAX - 1, 0)

    given = decide_semver(explicit=None, change_type=ChangeType.MINOR, highest=highest)

    assert given == SemanticVersion(1, SEMVER_PART_MAX, 0)
    with pytest.raises(SemverExhaustedError):
        decide_semver(explicit=None, change_type=ChangeType.MINOR, highest=given)


@pytest.mark.parametrize("text", ["champion", "@champion"])
def test_an_alias_is_named_with_or_without_its_sign(text: str) -> None:
    assert parse_reference(text) == AliasReference("champion")


@pytest.mark.parametrize("text", ["1.2.3", "v1.2.3"])
def test_a_semantic_version_is_read_with_or_without_its_letter(text: str) -> None:
    assert SemanticVersion.of(text) == SemanticVersion(1, 2, 3)


@pytest.mark.parametrize("text", ["1.2", "one", "", "1.2.3-rc1"])
def test_what_spells_no_semantic_version_is_refused(text: str) -> None:
    with pytest.raises(SemverInvalidError, match="is no semantic version"):
        SemanticVersion.of(text)


@pytest.mark.parametrize("text", ["3", "1.2.0", "latest", "@champion"])
def test_a_reference_is_told_as_people_write_it(text: str) -> None:
    assert describe_reference(parse_reference(text)) == text
