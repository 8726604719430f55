"""The loan book's memory: loans, their versions, and the changes that are still to be announced.

A change and the note that it must be announced are one SQLite transaction: a crash between the two cannot
lose the news. Versions only ever rise, also over a restart.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from modelyard_examples.loan_fields import FIELDS_BY_NAME, Value

LOANS_MAX = 1_000

_SCHEMA = """
create table if not exists loans (
    id text primary key, state text not null, loan_purpose text not null,
    version integer not null, fields text not null
);
create index if not exists loans_by_purpose on loans (loan_purpose, id);
create table if not exists unannounced_changes (
    position integer primary key autoincrement, event_id text not null, loan_id text not null,
    state text not null, version integer not null, changed_fields text not null, changed_at text not null
);
"""


class LoanNotFoundError(Exception):
    """There is no such loan, or the tenant has none of that number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """A loan as it now is. `version` counts its changes from 1."""

    id: str
    state: str
    loan_purpose: str
    version: int
    features: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanChange:
    """A change that was stored and is to be announced, in the order of `position`."""

    position: int
    event_id: str
    loan_id: str
    state: str
    version: int
    changed_fields: tuple[str, ...]
    changed_at: datetime


class LoanStore:
    """Loans in one SQLite file, or in memory when the path is None. For one thread and one process."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path or ":memory:")
        # Write-ahead logging keeps a committed change also when the process is killed.
        self._db.execute("pragma journal_mode = wal")
        self._db.executescript(_SCHEMA)

    def __enter__(self) -> "LoanStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def is_empty(self) -> bool:
        """Whether no loan was ever stored."""
        return self._db.execute("select 1 from loans limit 1").fetchone() is None

    def fill(self, records: Iterable[Mapping[str, Value]]) -> None:
        """Store loans at version 1, each with `id`, `state`, `loan_purpose` and every loan field."""
        rows = (
            (
                record["id"],
                record["state"],
                record["loan_purpose"],
                json.dumps({name: record[name] for name in FIELDS_BY_NAME}),
            )
            for record in records
        )
        with self._db:
            self._db.executemany("insert into loans values (?, ?, ?, 1, ?)", rows)

    def get_loan(self, loan_id: str, *, state: str | None = None) -> Loan:
        """A loan; with `state`, only when it is that tenant's. Raises LoanNotFoundError."""
        row = self._db.execute(
            "select id, state, loan_purpose, version, fields from loans where id = ?", (loan_id,)
        ).fetchone()
        if row is None or (state is not None and row[1] != state):
            owner = f" of tenant {state!r:.100}" if state is not None else ""
            raise LoanNotFoundError(f"There is no loan {loan_id!r:.100}{owner}.")
        return _loan(row)

    def list_loans(self, *, purpose: str | None, limit: int) -> list[Loan]:
        """The first loans, or the first of one purpose, by id."""
        rows = self._db.execute(
            "select id, state, loan_purpose, version, fields from loans"
            " where :purpose is null or loan_purpose = :purpose order by id limit :limit",
            {"purpose": purpose, "limit": min(limit, LOANS_MAX)},
        )
        return [_loan(row) for row in rows]

    def change(self, loan_id: str, change: Mapping[str, Value], *, event_id: str, changed_at: datetime) -> Loan:
        """Change fields of a loan and note the news; answers the loan afterwards.

        Values that it already has are no change: then nothing rises and nothing is announced. Raises
        LoanNotFoundError.
        """
        before = self.get_loan(loan_id)
        changed = {name: value for name, value in change.items() if before.features[name] != value}
        if not changed:
            return before
        with self._db:
            self._db.execute(
                "update loans set fields = ?, version = version + 1 where id = ?",
                (json.dumps({**before.features, **changed}), loan_id),
            )
            self._db.execute(
                "insert into unannounced_changes"
                " (event_id, loan_id, state, version, changed_fields, changed_at) values (?, ?, ?, ?, ?, ?)",
                (
                    event_id,
                    loan_id,
                    before.state,
                    before.version + 1,
                    json.dumps(sorted(changed)),
                    changed_at.isoformat(),
                ),
            )
        return self.get_loan(loan_id)

    def list_unannounced(self, *, loan_id: str | None = None, limit: int = LOANS_MAX) -> list[LoanChange]:
        """What is still to be announced, oldest first."""
        rows = self._db.execute(
            "select position, event_id, loan_id, state, version, changed_fields, changed_at"
            " from unannounced_changes where :loan is null or loan_id = :loan order by position limit :limit",
            {"loan": loan_id, "limit": limit},
        )
        return [_change(row) for row in rows]

    def mark_announced(self, change: LoanChange) -> None:
        """The broker has it: forget that it was to be announced."""
        with self._db:
            self._db.execute("delete from unannounced_changes where position = ?", (change.position,))


def _loan(row: tuple[Any, ...]) -> Loan:
    loan_id, state, loan_purpose, version, fields = row
    return Loan(id=loan_id, state=state, loan_purpose=loan_purpose, version=version, features=json.loads(fields))


def _change(row: tuple[Any, ...]) -> LoanChange:
    position, event_id, loan_id, state, version, changed_fields, changed_at = row
    return LoanChange(
        position=position,
        event_id=event_id,
        loan_id=loan_id,
        state=state,
        version=version,
        changed_fields=tuple(json.loads(changed_fields)),
        changed_at=datetime.fromisoformat(changed_at),
    )
