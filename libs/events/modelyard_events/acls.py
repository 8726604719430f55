"""Who may do what on the broker, read off the catalogue. Pure.

Each service gets what it needs to write and read its topics, and nothing else: above all, nobody but the registry
writes to a state topic. Outsiders are parties, too: each user of theirs gets the lines of its party.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from modelyard_events.topics import TOPICS, Kind, Topic, dead_letter_topics


class AclOperation(Enum):
    """What an ACL allows, as Kafka spells it."""

    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"


class Resource(Enum):
    """What an ACL is about."""

    TOPIC = "topic"
    GROUP = "group"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acl:
    """One party may do some operations on one topic, or on the consumer groups whose names begin with `name`."""

    party: str
    resource: Resource
    name: str
    operations: tuple[AclOperation, ...]

    @property
    def is_prefixed(self) -> bool:
        """Whether it is about all names that begin with `name`."""
        return self.resource is Resource.GROUP


SERVICES = {
    "registry": "registry",
    "router": "router",
    "shadow_worker": "shadow-worker",
    "cache_invalidator": "cache-invalidator",
}
"""Services as the catalogue names them, and the parties that they are on the broker."""

OUTSIDERS = {
    "training jobs": "training-job",
    "systems of record": "system-of-record",
    "in-process libraries": "in-process-library",
    "auditors": "auditor",
    "anyone who follows models": "follower",
    "anyone": "follower",
    "people": "operator",
}
"""Everybody else whom the catalogue names."""

PARTIES = tuple(dict.fromkeys([*SERVICES.values(), *OUTSIDERS.values()]))

GROUPS = {
    "registry": "modelyard-registry-",
    "shadow-worker": "shadow-worker",
    "cache-invalidator": "cache-invalidator",
    "auditor": "auditor",
    "follower": "follower",
    "operator": "operator",
}
"""How the consumer groups of each party begin, after the prefix. Whoever is not here reads without a group."""

_ORDER = (
    AclOperation.READ,
    AclOperation.WRITE,
    AclOperation.CREATE,
    AclOperation.DESCRIBE,
    AclOperation.DESCRIBE_CONFIGS,
)


def acls(*, prefix: str = "") -> tuple[Acl, ...]:
    """Every ACL of a system whose topics and groups begin with `prefix`, party by party."""
    allowed: dict[tuple[str, str], set[AclOperation]] = {}
    for topic in (*TOPICS, *dead_letter_topics()):
        for party, operations in _allowed_on(topic):
            allowed.setdefault((party, topic.name), set()).update(operations)
    on_topics = [
        Acl(
            party=party,
            resource=Resource.TOPIC,
            name=f"{prefix}{name}",
            operations=tuple(each for each in _ORDER if each in operations),
        )
        for (party, name), operations in allowed.items()
    ]
    on_groups = [
        Acl(party=party, resource=Resource.GROUP, name=f"{prefix}{begins}", operations=(AclOperation.READ,))
        for party, begins in GROUPS.items()
    ]
    return tuple(sorted([*on_topics, *on_groups], key=lambda each: PARTIES.index(each.party)))


def writers_of(topic: Topic) -> frozenset[str]:
    """The parties that may write to a topic."""
    return frozenset(party for party, operations in _allowed_on(topic) if AclOperation.WRITE in operations)


def _allowed_on(topic: Topic) -> Iterator[tuple[str, tuple[AclOperation, ...]]]:
    # The registry makes the topics and compares them with the catalogue.
    yield "registry", (AclOperation.CREATE, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
    for party in _parties(topic.producer.split(" | ")):
        if topic.kind is Kind.PARKED and party not in SERVICES.values():
            continue  # Only services park what they cannot read.
        yield party, (AclOperation.WRITE, AclOperation.DESCRIBE, *_compares(party))
        if topic.kind is Kind.STATE:
            yield party, (AclOperation.READ,)  # The relay reads behind itself, and repairs.
    for party in _parties(topic.consumers):
        yield party, (AclOperation.READ, AclOperation.DESCRIBE, *_compares(party))


def _compares(party: str) -> tuple[AclOperation, ...]:
    """Services compare the settings of their topics with the catalogue when they start."""
    return (AclOperation.DESCRIBE_CONFIGS,) if party in SERVICES.values() else ()


def _parties(names: Iterable[str]) -> list[str]:
    return [SERVICES.get(each) or OUTSIDERS[each] for each in names]
