"""The columns of the scoreboard's tables, which go by the names of the tallies' fields."""

from dataclasses import dataclass, fields
from typing import NamedTuple

from modelyard_registry.scoreboard.domain import PairTally, VariantTally
from modelyard_registry.scoreboard.store import PAIRS, VARIANTS, counter_columns
from modelyard_registry.transactions.statements import Columns


@dataclass(slots=True, kw_only=True)
class WiderTally(VariantTally):
    """A tally whose fields were given another order, with a new one among them."""

    latency_ms: float = 4.0
    timeouts: int = 5
    errors: int = 3


class Row(NamedTuple):
    """A row of the wider tally."""

    tally: VariantTally


def test_every_number_of_a_tally_has_the_column_of_its_name() -> None:
    assert VARIANTS.names == "project, key, variant, exposures, requests, errors, latency_ms"
    numbers = [field.name for field in fields(PairTally) if field.name not in ("served", "shadow")]
    assert PAIRS.names.split(", ")[6:] == numbers


def test_a_field_that_is_put_between_others_has_a_column_of_its_own() -> None:
    columns = Columns[Row](**counter_columns(WiderTally))

    arrays = columns.arrays([Row(WiderTally(exposures=1, requests=2))])

    values = dict(zip(columns.names.split(", "), arrays, strict=True))
    assert values == {"exposures": [1], "requests": [2], "errors": [3], "latency_ms": [4.0], "timeouts": [5]}
