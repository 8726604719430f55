"""`python -m modelyard_registry.acls`: the broker's ACLs for a system, as commands of Kafka's own tool.

Each party of the catalogue is a user of that name unless `--user` gives other ones: `--user router=CN=router,O=bank`,
and `--user training-job=job-a --user training-job=job-b` for several. Parties outside the services get lines only when
`--user` names their users.
"""

import argparse
import shlex
from collections.abc import Iterator, Mapping, Sequence

from modelyard_events.acls import OUTSIDERS, PARTIES, SERVICES, Acl, acls

Users = Mapping[str, Sequence[str]]


def commands(given: Sequence[Acl], *, users: Users, server: str, config: str | None) -> Iterator[str]:
    """A command for each ACL and user."""
    start = ["kafka-acls.sh", "--bootstrap-server", server]
    start += ["--command-config", config] if config else []
    for acl in given:
        for user in users.get(acl.party, ()):
            words = [*start, "--add", "--allow-principal", f"User:{user}"]
            for operation in acl.operations:
                words += ["--operation", operation.value]
            words += [f"--{acl.resource.value}", acl.name]
            words += ["--resource-pattern-type", "prefixed"] if acl.is_prefixed else []
            yield shlex.join(words)


def table(given: Sequence[Acl]) -> Iterator[str]:
    """The same for people: a row for each ACL, in Markdown."""
    yield "| party | may | on |"
    yield "|---|---|---|"
    for acl in given:
        operations = ", ".join(each.value for each in acl.operations)
        what = f"groups `{acl.name}…`" if acl.is_prefixed else f"`{acl.name}`"
        yield f"| {acl.party} | {operations} | {what} |"


def users_of(given: Sequence[str]) -> dict[str, list[str]]:
    """The users of each party: services have one of their own name unless others are given. Raises ValueError."""
    named: dict[str, list[str]] = {}
    for each in given:
        party, _, user = each.partition("=")
        if party not in PARTIES or not user:
            raise ValueError(f"{each!r} is not PARTY=USER; the parties are {', '.join(PARTIES)}")
        named.setdefault(party, []).append(user)
    return {**{party: [party] for party in SERVICES.values()}, **named}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the ACLs."""
    parser = argparse.ArgumentParser(
        prog="python -m modelyard_registry.acls", description="The broker's ACLs for a system, from the catalogue."
    )
    parser.add_argument("--prefix", default="", help="what MODELYARD_TOPIC_PREFIX says")
    parser.add_argument("--user", action="append", default=[], metavar="PARTY=USER", help=_help_on_parties())
    parser.add_argument("--bootstrap-server", default="localhost:9092")
    parser.add_argument("--command-config", metavar="FILE", help="how the tool logs in")
    parser.add_argument("--table", action="store_true", help="print a table for people instead of commands")
    given = parser.parse_args(arguments)
    try:
        users = users_of(given.user)
    except ValueError as error:
        parser.error(str(error))
    found = acls(prefix=given.prefix)
    if given.table:
        lines = table(found)
    else:
        lines = commands(found, users=users, server=given.bootstrap_server, config=given.command_config)
    print("\n".join(lines))


def _help_on_parties() -> str:
    outsiders = ", ".join(dict.fromkeys(OUTSIDERS.values()))
    return f"a user of a party, repeated for more: {', '.join(SERVICES.values())}; {outsiders}"


if __name__ == "__main__":
    main()
