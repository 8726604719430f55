"""Keeps ports and password of a stack in its directory, so that the next start there uses the same ones."""

import json
import logging
import os
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from modelyard_stack.errors import StackError
from modelyard_stack.ports import free_ports, is_free

FORMAT = 1
PASSWORD_BYTES = 18
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The ports of the loopback address, and the password of PostgreSQL's user."""

    kafka_port: int
    kafka_controller_port: int
    postgres_port: int
    valkey_port: int
    postgres_password: str

    @classmethod
    def new(cls) -> Self:
        kafka, controller, postgres, valkey = free_ports(4)
        return cls(
            kafka_port=kafka,
            kafka_controller_port=controller,
            postgres_port=postgres,
            valkey_port=valkey,
            postgres_password=secrets.token_urlsafe(PASSWORD_BYTES),
        )


def state_in(path: Path) -> State:
    """Read the state in the file `path`, or make a new one, and write it there.

    A port that another program uses now is replaced. Raises `StackError` when the file is damaged.
    """
    state = _with_free_ports(_read(path)) if path.exists() else State.new()
    _write(state, path=path)
    return state


def _with_free_ports(state: State) -> State:
    return replace(
        state,
        kafka_port=_free_or_new(state.kafka_port),
        kafka_controller_port=_free_or_new(state.kafka_controller_port),
        postgres_port=_free_or_new(state.postgres_port),
        valkey_port=_free_or_new(state.valkey_port),
    )


def _free_or_new(port: int) -> int:
    if is_free(port):
        return port
    (new,) = free_ports(1)
    _log.warning("port_replaced taken=%s new=%s", port, new)
    return new


def _read(path: Path) -> State:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("format") != FORMAT:
            raise ValueError("an unknown format")
        return State(**document)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StackError(f"{path} is not the state of a stack ({error}); give another directory.") from error


def _write(state: State, *, path: Path) -> None:
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps({"format": FORMAT, **asdict(state)}, indent=2) + "\n", encoding="utf-8")
    os.replace(draft, path)
