"""docker-compose.yml starts what the stack starts: the same versions with the same settings."""

from pathlib import Path

import pytest
from modelyard_stack.kafka import CLUSTER_ID, SETTINGS
from modelyard_stack.kafka_jars import KAFKA_VERSION
from modelyard_stack.postgres import CONNECTIONS_MAX, DATABASE, USER
from modelyard_stack.valkey import DATABASES

COMPOSE = (Path(__file__).parents[3] / "docker-compose.yml").read_text(encoding="utf-8")
# In a container there is one more listener, for other containers.
OWN = {"listener.security.protocol.map"}


@pytest.mark.parametrize("setting", sorted(set(SETTINGS) - OWN))
def test_kafka_has_the_same_setting(setting: str) -> None:
    variable = "KAFKA_" + setting.upper().replace(".", "_")

    assert f'\n      {variable}: "{SETTINGS[setting]}"\n' in COMPOSE


def test_the_servers_are_the_recorded_versions() -> None:
    images = [line.split()[1] for line in COMPOSE.splitlines() if line.startswith("    image: ")]

    assert images == [f"apache/kafka:{KAFKA_VERSION}", "postgres:18.4", "valkey/valkey:9.1"]


def test_the_other_servers_have_the_same_settings() -> None:
    assert f"CLUSTER_ID: {CLUSTER_ID}" in COMPOSE
    assert f'"max_connections={CONNECTIONS_MAX}"' in COMPOSE
    assert f"POSTGRES_USER: {USER}\n" in COMPOSE
    assert f"POSTGRES_DB: {DATABASE}\n" in COMPOSE
    assert f'"--databases", "{DATABASES}", "--save", "", "--appendonly", "yes", "--appendfsync", "always"' in COMPOSE


def test_nothing_is_open_to_other_machines() -> None:
    ports = [line.strip() for line in COMPOSE.splitlines() if line.startswith("    ports: ")]

    assert len(ports) == 3
    assert all(line.startswith('ports: ["127.0.0.1:') for line in ports)


def test_a_server_that_dies_is_started_again() -> None:
    assert COMPOSE.count("\n    restart: unless-stopped\n") == 3
