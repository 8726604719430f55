"""The numbers of the consumer policy, and the wait between attempts."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumePolicy:
    """How hard to try, how much at once, and when to stop.

    `attempts_max` bounds handler failures that nobody foresaw; `TransientError` is retried without bound.
    `concurrency_max` is the number of records in flight per partition, never two of the same key.
    `dead_letters_in_a_row_max`, or a share above `dead_letters_ratio_max` of the last `dead_letters_window` records,
    hold the partition for `hold_initial_s`, then ever longer, until a record is handled again. At most
    `unproved_parked_per_minute` records that nobody proved are parked; the others are counted and passed over.
    """

    attempts_max: int = 5
    backoff_initial_s: float = 0.1
    backoff_max_s: float = 10.0
    commit_interval_s: float = 0.2
    commit_records_max: int = 500
    poll_records_max: int = 1_000
    concurrency_max: int = 1
    drain_timeout_s: float = 10.0
    dead_letters_in_a_row_max: int = 20
    dead_letters_ratio_max: float = 0.5
    dead_letters_window: int = 100
    hold_initial_s: float = 5.0
    hold_max_s: float = 300.0
    unproved_parked_per_minute: int = 600
    auto_offset_reset: Literal["earliest", "latest"] = "earliest"

    def backoff_s(self, attempt: int) -> float:
        """How long to wait after the failed attempt number `attempt` (from 1): doubling, bounded."""
        # The exponent is bounded, too: a float overflows long before an outage of a month is over.
        return min(self.backoff_max_s, self.backoff_initial_s * 2.0 ** min(attempt - 1, 60))
