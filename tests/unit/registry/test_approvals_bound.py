"""What has changed since people were asked to agree: named one by one, and said in words."""

from dataclasses import replace

import pytest
from modelyard_registry.approvals.bound import Bound, changes, in_words

ASKED = Bound(
    stage="staging",
    digest="sha256:" + "9f" * 32,
    evidence_sha256="1f" * 32,
    facts_sha256="2f" * 32,
    endpoint_url=None,
    endpoint_revision=None,
    project_policy_revision=1,
    model_policy_revision=0,
    champion="risk/1",
    said={"description": "aa", "tags": "bb"},
)


def test_nothing_is_said_of_what_is_as_it_was() -> None:
    assert changes(ASKED, replace(ASKED, said=dict(ASKED.said or {}))) == {}


def test_things_said_are_told_apart_and_added_or_removed_ones_named() -> None:
    now = replace(ASKED, facts_sha256="3f" * 32, said={"description": "cc", "artifacts.tokenizer": "dd"})

    assert in_words(changes(ASKED, now)) == (
        "the description was changed; the tags were removed; the further artifact 'tokenizer' was added"
    )


def test_a_request_from_before_they_were_told_apart_still_notices_a_change() -> None:
    before = replace(ASKED, said=None)

    assert set(changes(before, replace(ASKED, facts_sha256="3f" * 32))) == {"facts_sha256"}
    assert changes(before, ASKED) == {}


def test_values_that_people_can_read_are_given_with_what_they_were() -> None:
    now = replace(ASKED, stage="canary", champion=None, endpoint_url="http://h/infer", project_policy_revision=2)

    assert [each.words for each in changes(ASKED, now).values()] == [
        "the stage was staging and is canary now",
        "the endpoint's URL is http://h/infer now, and there was none",
        "the revision of the project's policy was 1 and is 2 now",
        "the champion was risk/1, and there is none now",
    ]


@pytest.mark.parametrize(
    ("then", "now", "words"),
    [
        ({}, {"tests": "failed"}, "the newest check of the kind 'tests' failed"),
        ({"tests": "passed"}, {"tests": "failed"}, "the newest check of the kind 'tests' failed"),
        ({"tests": "failed"}, {"tests": "failed"}, ""),
        ({"tests": "failed"}, {"tests": "passed"}, ""),
        ({}, {"tests": "passed", "security_scan": "passed"}, ""),
        ({"tests": "passed"}, {}, ""),
        (None, {"tests": "failed"}, ""),
    ],
)
def test_a_check_that_fails_after_people_were_asked_is_a_change(
    then: dict[str, str] | None, now: dict[str, str], words: str
) -> None:
    assert in_words(changes(replace(ASKED, checks=then), replace(ASKED, checks=now))) == words
