"""What exactly people agree to with a transition request, and what has changed about it since, in words. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from modelyard_runtime.problems import ConflictError

ARTIFACTS = "artifacts."
"""Before the name of a further artifact, among the things that are said about a version."""

CHECKS = "checks."
"""Before the kind of a check, among the things that have changed."""

FAILED = "failed"

_WORDS: Mapping[str, str] = {
    "stage": "the stage",
    "digest": "the artifact",
    "evidence_sha256": "the evidence",
    "facts_sha256": "what people say about the version",
    "endpoint_url": "the endpoint's URL",
    "endpoint_revision": "the endpoint's revision",
    "project_policy_revision": "the revision of the project's policy",
    "model_policy_revision": "the revision of the registered model's policy",
    "champion": "the champion",
    "description": "the description",
    "tags": "the tags",
    "model_card": "the model card",
    "custom_metadata": "the custom metadata",
}
_DIGESTS = frozenset({"evidence_sha256", "facts_sha256"})
"""What is compared by digest only: its values would tell a person nothing."""


class RequestStaleError(ConflictError):
    """What was to be agreed to has changed since the request was made."""

    code = "request-stale"
    when = "The version, its endpoint or its evidence changed after the transition request was made."
    fix = (
        "Look at the version as it is now, and make another request: it ends this one when the same person asks. Or "
        "withdraw or reject this one."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What is agreed to, as it was when the request was made.

    `champion` is the version that serves the slot (`model/number`); an endpoint that is not there has no URL.
    `said` has the SHA-256 of each thing that people said about the version, and of each further artifact; None for
    requests from before these were told apart.
    """

    stage: str
    digest: str
    evidence_sha256: str
    endpoint_url: str | None
    endpoint_revision: int | None
    project_policy_revision: int
    model_policy_revision: int
    champion: str | None
    facts_sha256: str | None = None
    """What people said about the version: description, tags, model card and custom metadata."""
    said: Mapping[str, str] | None = None
    checks: Mapping[str, str] | None = None
    """How the newest check of each kind ended; None for requests from before checks were part of it."""

    def document(self) -> dict[str, Any]:
        """It as JSON has it."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is not any more as it was when people were asked; `words` say so in a sentence's part."""

    then: Any
    now: Any
    words: str


Changes = Mapping[str, Change]
"""What has changed, by the name of the thing."""


def changes(then: Bound, now: Bound) -> Changes:
    """What has changed since the request was made; nothing when people can agree to just what they were asked."""
    before, after = _things(then, beside=now), _things(now, beside=then)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {**{name: _change(name, before.get(name), after.get(name)) for name in names}, **_failed_checks(then, now)}


def in_words(changed: Changes) -> str:
    """All that has changed, in one sentence without its end."""
    return "; ".join(each.words for each in changed.values())


def refuse_stale(then: Bound, now: Bound) -> None:
    """Raise RequestStaleError, which says what has changed, unless everything is as it was."""
    changed = changes(then, now)
    if changed:
        raise RequestStaleError(
            f"Since the request was made something has changed: {in_words(changed)}.",
            changed={name: asdict(each) for name, each in changed.items()},
        )


def _failed_checks(then: Bound, now: Bound) -> Changes:
    """The checks that failed since. One that passed since is no news that could make people think again."""
    if then.checks is None:
        return {}
    return {
        f"{CHECKS}{kind}": Change(
            then=then.checks.get(kind), now=outcome, words=f"the newest check of the kind {kind!r} {outcome}"
        )
        for kind, outcome in sorted((now.checks or {}).items())
        if outcome == FAILED and then.checks.get(kind) != FAILED
    }


def _things(bound: Bound, *, beside: Bound) -> dict[str, Any]:
    document = bound.document()
    said = document.pop("said")
    del document["checks"]
    if said is None or beside.said is None:
        return document
    # Told apart they say more than the digest of all of them.
    del document["facts_sha256"]
    return {**document, **said}


def _change(name: str, then: Any, now: Any) -> Change:
    what = _WORDS.get(name) or f"the further artifact {name.removeprefix(ARTIFACTS)!r}"
    is_digest = name in _DIGESTS or name not in Bound.__slots__
    if then is None:
        words = f"{what} {_was(what)} added" if is_digest else f"{what} is {now} now, and there was none"
    elif now is None:
        words = f"{what} {_was(what)} removed" if is_digest else f"{what} was {then}, and there is none now"
    else:
        words = f"{what} {_was(what)} changed" if is_digest else f"{what} was {then} and is {now} now"
    return Change(then=then, now=now, words=words)


def _was(what: str) -> str:
    return "were" if what == _WORDS["tags"] else "was"
