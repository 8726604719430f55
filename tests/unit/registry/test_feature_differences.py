"""How much two feature schemas differ decides the smallest honest step between their semantic versions."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_events.values import ChangeType, Datatype, Feature
from modelyard_registry.models.domain import SemanticVersion
from modelyard_registry.registration.feature_differences import (
    LowerVersion,
    SemverTooSmallError,
    decide_unnamed_semver,
    difference_of,
    is_large_enough,
    refuse_small_step,
    step_between,
)

SIZES = [ChangeType.PATCH, ChangeType.MINOR, ChangeType.MAJOR]

schemas = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(get_args(Datatype)), max_size=6).map(
    lambda schema: [Feature(name=name, datatype=datatype) for name, datatype in schema.items()]
)
semvers = st.builds(SemanticVersion, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))


def features(**datatypes: Datatype) -> list[Feature]:
    return [Feature(name=name, datatype=datatype) for name, datatype in datatypes.items()]


def a_lower(semver: SemanticVersion, schema: list[Feature]) -> LowerVersion:
    return LowerVersion(number=1, semver=semver, features=tuple(schema))


@pytest.mark.parametrize(
    ("before", "after", "demanded"),
    [
        (features(a="FP32"), features(a="FP32"), ChangeType.PATCH),
        (features(a="FP32", b="BOOL"), features(b="BOOL", a="FP32"), ChangeType.PATCH),
        (features(a="FP32"), features(a="FP32", b="BOOL"), ChangeType.MINOR),
        (features(a="FP32", b="BOOL"), features(a="FP32"), ChangeType.MAJOR),
        (features(a="FP32"), features(a="FP64"), ChangeType.MAJOR),
        (features(a="FP32"), features(b="FP32"), ChangeType.MAJOR),
    ],
)
def test_the_difference_demands_a_change_type(
    before: list[Feature], after: list[Feature], demanded: ChangeType
) -> None:
    assert difference_of(before, after).demands is demanded


@given(before=schemas, after=schemas)
def test_every_feature_is_kept_added_removed_or_retyped(before: list[Feature], after: list[Feature]) -> None:
    difference = difference_of(before, after)

    old, new = {each.name: each.datatype for each in before}, {each.name: each.datatype for each in after}
    for retyped in difference.retyped:
        assert (old[retyped.name], new[retyped.name]) == (retyped.before, retyped.after)
        old[retyped.name] = new[retyped.name]
    for name in difference.removed:
        del old[name]
    assert old | {name: new[name] for name in difference.added} == new
    assert (difference.demands is ChangeType.PATCH) == (set(before) == set(after))


@given(before=schemas, after=schemas)
def test_taking_a_change_back_shows_the_same_features_the_other_way_round(
    before: list[Feature], after: list[Feature]
) -> None:
    there, back = difference_of(before, after), difference_of(after, before)

    assert (there.added, there.removed) == (back.removed, back.added)
    assert [each.name for each in there.retyped] == [each.name for each in back.retyped]


@given(lower=semvers, change_type=st.sampled_from(ChangeType))
def test_a_step_is_as_large_as_its_change_type(lower: SemanticVersion, change_type: ChangeType) -> None:
    assert step_between(lower, lower.after(change_type)) is change_type


@given(lower=semvers, before=schemas, after=schemas.filter(bool))
def test_a_step_is_refused_exactly_when_it_is_smaller_than_demanded(
    lower: SemanticVersion, before: list[Feature], after: list[Feature]
) -> None:
    demanded = difference_of(before, after).demands

    accepted = [
        size for size in SIZES if is_large_enough(lower.after(size), lower=a_lower(lower, before), features=after)
    ]

    assert accepted == SIZES[SIZES.index(demanded) :]


@given(lower=semvers, before=schemas, after=schemas, steps=st.lists(st.sampled_from(ChangeType), max_size=3))
def test_a_version_that_nobody_names_is_honest_and_above_the_highest(
    lower: SemanticVersion, before: list[Feature], after: list[Feature], steps: list[ChangeType]
) -> None:
    highest = lower
    for step in steps:
        highest = highest.after(step)
    declared = a_lower(lower, before)

    semver = decide_unnamed_semver(highest=highest, lower=declared, features=after)

    refuse_small_step(semver, model="risk", lower=declared, features=after)
    assert semver > highest


def test_a_refusal_shows_the_difference_and_the_smallest_honest_version() -> None:
    lower = a_lower(SemanticVersion(1, 2, 3), features(age="INT64", income="FP32"))

    with pytest.raises(SemverTooSmallError) as refusal:
        refuse_small_step(SemanticVersion(1, 3, 0), model="risk", lower=lower, features=features(income="FP64"))

    body = refusal.value.body()
    assert "it removes age; it retypes income from FP32 to FP64" in body["detail"]
    assert "2.0.0 or above" in body["fix"]
    assert body["against"] == {"number": 1, "semver": "1.2.3"}
    assert body["difference"]["demands"] == "major"


def test_where_features_are_not_declared_every_step_is_large_enough() -> None:
    lower = a_lower(SemanticVersion(1, 0, 0), features(a="FP32"))

    assert is_large_enough(SemanticVersion(1, 0, 1), lower=lower, features=())
    assert is_large_enough(SemanticVersion(1, 0, 1), lower=None, features=features(a="FP32"))
