"""What is allowed, as data: written down from the promises, not taken from the registry."""

from collections.abc import Iterable, Mapping

DEVELOPMENT, STAGING, CANARY, PRODUCTION = "development", "staging", "canary", "production"
DEPRECATED, ARCHIVED = "deprecated", "archived"
STAGES = (DEVELOPMENT, STAGING, CANARY, PRODUCTION, DEPRECATED, ARCHIVED)

Move = tuple[str, str]

MOVES: frozenset[Move] = frozenset(
    {
        (DEVELOPMENT, STAGING),
        (DEVELOPMENT, ARCHIVED),
        (STAGING, CANARY),
        (STAGING, PRODUCTION),
        (STAGING, DEVELOPMENT),
        (STAGING, ARCHIVED),
        (CANARY, PRODUCTION),
        (CANARY, STAGING),
        (CANARY, ARCHIVED),
        (PRODUCTION, DEPRECATED),
        (DEPRECATED, PRODUCTION),
        (DEPRECATED, ARCHIVED),
    }
)
"""Every move of the default table."""

ROLLBACK_MOVES: frozenset[Move] = frozenset({(DEPRECATED, PRODUCTION), (PRODUCTION, DEPRECATED)})
"""What a rollback does to the two versions that it is about, under any table."""

SYNONYMS = {
    "none": DEVELOPMENT,
    "testing": STAGING,
    "active": PRODUCTION,
    "deployed": PRODUCTION,
    "Production": PRODUCTION,
    "retired": ARCHIVED,
}
BUILT_AFTER = {
    "training": ("evaluating", "ready", "failed"),
    "evaluating": ("ready", "failed", "training"),
    "ready": ("evaluating", "failed"),
    "failed": ("training", "evaluating"),
}
"""What the making of a version can become; a new version is `ready`."""

BUILD_STATUSES = ("evaluating", "ready")
REVIEW_STATUSES = ("pending_review", "approved")
"""With what a version goes to staging or beyond, unless a policy says otherwise."""

NO_STAGES = ("evaluating", "approved", "nowhere")

SERVING = frozenset({CANARY, PRODUCTION})
COMPARABLE = frozenset({CANARY, PRODUCTION, DEPRECATED})
"""Where a variant of a running experiment may stand."""

EVERYBODY = ("ann", "bob", "cem", "dee", "eve", "fay")
ADMINS = frozenset({"ann", "bob"})
WRITERS = ADMINS | {"fay"}
APPROVERS = ADMINS | {"cem", "dee"}

MAY: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        ("create", "rename", "describe", "register", "set_alias", "delete_alias", "annotate", "build"), WRITERS
    ),
    **dict.fromkeys(("ask", "ask_endpoint", "withdraw"), WRITERS),
    **dict.fromkeys(("review", "approve", "reject"), APPROVERS),
    **dict.fromkeys(
        (
            "delete",
            "restore",
            "move",
            "deploy",
            "quarantine",
            "appoint",
            "roll_back",
            "set_policy",
            "apply",
            "start",
            "stop",
        ),
        ADMINS,
    ),
    **dict.fromkeys(("try_move",), frozenset(EVERYBODY)),
}
"""Who may do what: two admins, two approvers, a viewer and a data scientist."""

HAVE_ROLE_OF_APPROVER = APPROVERS


def stage_of(word: str) -> str | None:
    """The stage that a word means, None when it means none."""
    return SYNONYMS.get(word, word if word in STAGES else None)


def table_of(allowed: Iterable[Move] | None) -> frozenset[Move]:
    """The moves that there are under a policy."""
    return MOVES if allowed is None else frozenset(allowed)


def needs_of(move: Move) -> frozenset[str]:
    """What a move needs by itself, whatever the policy says."""
    from_stage, to_stage = move
    needs = {"not champion"} if from_stage == PRODUCTION else set()
    if to_stage in SERVING or (to_stage == STAGING and from_stage not in SERVING):
        needs |= {"not quarantined", "admitted"}
    if to_stage == ARCHIVED or (from_stage in COMPARABLE and to_stage not in COMPARABLE):
        needs.add("not compared")
    if to_stage in SERVING:
        needs.add("endpoint")
    if to_stage == PRODUCTION:
        needs.add("free slot")
    return frozenset(needs)
