"""A directory remembers the addresses and the password of its stack."""

import socket
from pathlib import Path

import pytest
from modelyard_stack import StackError
from modelyard_stack.ports import HOST, free_ports, is_free
from modelyard_stack.state import state_in


def test_ports_are_distinct_and_below_those_of_outgoing_connections() -> None:
    first_outgoing = 49_152
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if limits.exists():
        first_outgoing = int(limits.read_text(encoding="ascii").split()[0])

    ports = free_ports(50)

    assert len(set(ports)) == 50
    assert max(ports) < first_outgoing
    assert min(ports) >= 1024


def test_a_port_is_free_until_somebody_listens_there() -> None:
    (port,) = free_ports(1)
    with socket.create_server((HOST, port)):
        assert not is_free(port)

    assert is_free(port)


def test_the_next_stack_in_a_directory_has_the_same_addresses(tmp_path: Path) -> None:
    first = state_in(tmp_path / "stack.json")

    second = state_in(tmp_path / "stack.json")

    assert second == first


def test_only_the_owner_may_read_the_password(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"

    state = state_in(path)

    assert state.postgres_password in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_port_that_somebody_took_is_replaced(tmp_path: Path) -> None:
    before = state_in(tmp_path / "stack.json")
    with socket.create_server((HOST, before.valkey_port)):
        after = state_in(tmp_path / "stack.json")

    assert after.valkey_port != before.valkey_port
    assert after.postgres_port == before.postgres_port
    assert state_in(tmp_path / "stack.json") == after


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "kafka_port": 1}'])
def test_a_damaged_state_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "stack.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(StackError, match=r"stack\.json is not the state of a stack"):
        state_in(path)

    assert path.read_text(encoding="utf-8") == text
