"""SQL statements whose parameters and columns have names: no value depends on the order in which it is written down.

Rows are sent as one array per column, and `unnest` makes rows of the arrays again. So a statement costs the same
number of round trips for one row as for a thousand. The text of a statement is made once, at import: the driver
recognizes it and prepares it once per connection.
"""

from collections.abc import Callable, Collection
from typing import Any, Generic, TypeVar

from modelyard_registry.transactions.database import Connection

RowT = TypeVar("RowT")

# Arrays of these types cannot hold what we have: JSON is text already when it comes here, and `unnest` would take
# an array of arrays apart completely. The server casts the texts.
_SENT_AS_TEXT = frozenset({"jsonb", "integer[]"})


class Columns(Generic[RowT]):
    """The columns of rows: for each its name, its PostgreSQL type, and how its value is read from a row.

    A value for a `jsonb` column is a JSON text; a value for an `integer[]` column is a text such as `{1,2}`.
    """

    def __init__(self, **columns: tuple[str, Callable[[RowT], Any]]) -> None:
        self._types = {name: sql_type for name, (sql_type, _) in columns.items()}
        self._readers = [read for _, read in columns.values()]
        self.names = ", ".join(columns)

    def __len__(self) -> int:
        return len(self._readers)

    @property
    def values(self) -> str:
        """What to select in order to get the columns in their own types, in the order of `names`."""
        return ", ".join(
            f"{name}::{sql_type}" if sql_type in _SENT_AS_TEXT else name for name, sql_type in self._types.items()
        )

    def unnest(self, alias: str, *, first: int) -> str:
        """The rows as a table in FROM, made of the parameters from `$first` on. Its column `nth` counts the rows."""
        sent = ["text" if sql_type in _SENT_AS_TEXT else sql_type for sql_type in self._types.values()]
        arrays = ", ".join(f"${number}::{sql_type}[]" for number, sql_type in enumerate(sent, start=first))
        return f"unnest({arrays}) WITH ORDINALITY AS {alias} ({self.names}, nth)"

    def arrays(self, rows: Collection[RowT]) -> list[list[Any]]:
        """The values of the rows, one array per column."""
        return [[read(row) for row in rows] for read in self._readers]


class Statement:
    """A statement with named parameters. Its text has `{name}` where a parameter stands.

    A parameter is either `Columns`, for rows, and stands for a table in FROM with the parameter's name as its alias;
    or it is one value, of the PostgreSQL type that is given.
    """

    def __init__(self, text: str, **parameters: Columns[Any] | str) -> None:
        self._parameters = parameters
        first = 1
        places = {}
        for name, parameter in parameters.items():
            if isinstance(parameter, Columns):
                places[name] = parameter.unnest(name, first=first)
                first += len(parameter)
            else:
                places[name] = f"${first}::{parameter}"
                first += 1
        self.text = text.format_map(places)

    def bind(self, **values: Any) -> tuple[Any, ...]:
        """The text and the driver's arguments: `await connection.execute(*STATEMENT.bind(rows=rows, now=now))`.

        Raises TypeError unless each parameter has its value.
        """
        if values.keys() != self._parameters.keys():
            raise TypeError(f"parameters are {sorted(self._parameters)}, values were given for {sorted(values)}")
        bound: list[Any] = [self.text]
        for name, parameter in self._parameters.items():
            if isinstance(parameter, Columns):
                bound.extend(parameter.arrays(values[name]))
            else:
                bound.append(values[name])
        return tuple(bound)


class RowInsert(Generic[RowT]):
    """Inserts rows into one table, in one statement."""

    def __init__(self, table: str, columns: Columns[RowT], *, on_conflict: str = "") -> None:
        self._statement = Statement(
            f"INSERT INTO {table} ({columns.names}) SELECT {columns.values} FROM {{rows}} ORDER BY nth {on_conflict}",
            rows=columns,
        )

    async def write(self, connection: Connection, rows: Collection[RowT]) -> None:
        """Insert the rows, in their order; without rows no statement is sent."""
        if rows:
            await connection.execute(*self._statement.bind(rows=rows))
