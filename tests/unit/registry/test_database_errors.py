"""What the database refuses for its size is the request's fault, and a fault of ours that it came so far."""

import asyncpg
import pytest
from modelyard_registry.transactions.database import database_errors
from modelyard_runtime.problems import InvalidRequestError
from structlog.testing import capture_logs


@pytest.mark.parametrize(
    "error", [asyncpg.DataError("value out of int32 range"), asyncpg.ProgramLimitExceededError("index row size")]
)
def test_a_value_that_the_database_cannot_hold_is_refused_and_logged(error: Exception) -> None:
    refused = pytest.raises(InvalidRequestError, match="larger than the database can hold")
    with capture_logs() as lines, refused, database_errors():
        raise error

    assert [line["event"] for line in lines] == ["value_beyond_bounds"]
