"""ACLs read off the catalogue: each service can do its work, and nobody else writes what services believe."""

import shlex

import pytest
from modelyard_cache_invalidator.settings import Settings as InvalidatorSettings
from modelyard_events.acls import GROUPS, PARTIES, SERVICES, AclOperation, Resource, acls, writers_of
from modelyard_events.topics import ACCESS, ACCESS_REFUSALS, CACHE_INVALIDATIONS, ROUTES, TOPICS, Kind
from modelyard_registry.acls import main
from modelyard_registry.kafka_side import GROUP
from modelyard_shadow_worker.settings import Settings as ShadowWorkerSettings


@pytest.mark.parametrize("topic", [ROUTES, ACCESS], ids=lambda topic: topic.name)
def test_nobody_but_the_registry_writes_to_a_state_topic(topic: object) -> None:
    assert topic in (ROUTES, ACCESS)
    assert [writers_of(each) for each in TOPICS if each is topic] == [{"registry"}]


def test_facts_that_become_audit_entries_are_written_by_the_services_that_report_them() -> None:
    assert writers_of(ACCESS_REFUSALS) == {"router", "cache-invalidator"}
    assert writers_of(CACHE_INVALIDATIONS) == {"cache-invalidator"}


def test_outsiders_write_to_ingest_topics_alone_and_only_the_registry_creates() -> None:
    kinds = {topic.name: topic.kind for topic in TOPICS}
    for each in acls():
        if AclOperation.WRITE in each.operations and each.party not in SERVICES.values():
            assert kinds.get(each.name) is Kind.INGEST, each
        assert AclOperation.CREATE not in each.operations or each.party == "registry"


def test_the_groups_are_those_that_the_services_use() -> None:
    assert f"{GROUP}-" == GROUPS["registry"]
    assert InvalidatorSettings(state_unsigned="allow").consumer_group == GROUPS["cache-invalidator"]
    assert ShadowWorkerSettings().consumer_group == GROUPS["shadow-worker"]


def test_a_prefix_goes_before_every_topic_and_group() -> None:
    plain, prefixed = acls(), acls(prefix="bank.")

    assert [f"bank.{each.name}" for each in plain] == [each.name for each in prefixed]
    assert {each.resource for each in plain} == {Resource.TOPIC, Resource.GROUP}


def test_the_commands_name_the_users_that_were_given(capsys: pytest.CaptureFixture[str]) -> None:
    main(
        [
            *("--prefix", "bank.", "--user", "router=CN=router, O=bank", "--user", "training-job=job-a"),
            *("--user", "training-job=job-b", "--bootstrap-server", "k:9093", "--command-config", "admin.properties"),
        ]
    )
    found = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    start = ["kafka-acls.sh", "--bootstrap-server", "k:9093", "--command-config", "admin.properties", "--add"]
    users = {words[words.index("--allow-principal") + 1] for words in found}

    assert all(words[: len(start)] == start for words in found)
    services = {"registry", "CN=router, O=bank", "shadow-worker", "cache-invalidator"}
    assert users == {f"User:{each}" for each in services | {"job-a", "job-b"}}
    assert [words[len(start) :] for words in found if "User:job-a" in words] == [
        shlex.split("--allow-principal User:job-a --operation Write --operation Describe --topic bank.training-runs.v1")
    ]


def test_an_unknown_party_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--user", "trainer=job-a"])

    told = capsys.readouterr().err
    assert all(party in told for party in PARTIES)
