"""The numbers of the consumer policy, and the wait between attempts."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumePolicy:
    """How hard to try, how much at once, and when to stop.

    `attempts_max` bounds handler failures that nobody foresaw; `TransientError` is retried without bound.
    `concurrency_max` is the number of records in flight per partition, never two of the same key.
    `brake_consecutive_max` dead letters in a row, or a share above `brake_ratio_max` of the last
    `brake_window` records, stop the partition.
    """

    attempts_max: int = 5
    backoff_initial_s: float = 0.1
    backoff_max_s: float = 10.0
    commit_interval_s: float = 0.2
    commit_records_max: int = 500
    poll_records_max: int = 1_000
    concurrency_max: int = 1
    drain_timeout_s: float = 10.0
    brake_consecutive_max: int = 20
    brake_ratio_max: float = 0.5
    brake_window: int = 100
    auto_offset_reset: Literal["earliest", "latest"] = "earliest"

    def backoff_s(self, attempt: int) -> float:
        """How long to wait after the failed attempt number `attempt` (from 1): doubling, bounded."""
        # The exponent is bounded, too: a float overflows long before an outage of a month is over.
        return min(self.backoff_max_s, self.backoff_initial_s * 2.0 ** min(attempt - 1, 60))
