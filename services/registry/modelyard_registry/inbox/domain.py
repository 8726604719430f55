"""What the sequences of sources tell: which facts are new, and how many are missing. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from modelyard_events.envelope import Envelope
from modelyard_runtime.consume import Delivery


def select_uncounted(
    deliveries: Iterable[Delivery[Any]], *, last_sequences: Mapping[str, int]
) -> tuple[list[Delivery[Any]], dict[str, int]]:
    """The deliveries that were not counted yet, and the newest sequence of each source afterwards.

    A source numbers its facts and keeps their order on a partition: what is not above the last one is a
    repeat. Facts without a number are none of this function's, and are left out.
    """
    newest = dict(last_sequences)
    new = []
    for delivery in deliveries:
        sequence, source = delivery.envelope.sequence, delivery.envelope.source
        if sequence is None or sequence <= newest.get(source, -1):
            continue
        newest[source] = sequence
        new.append(delivery)
    return new, newest


def count_missing(envelopes: Iterable[Envelope], *, last_sequences: Mapping[str, int]) -> tuple[int, dict[str, int]]:
    """How many facts their sources have counted and nobody has got, and the newest sequence of each source.

    A number that comes late, after a higher one, was counted as missing.
    """
    numbers: dict[str, set[int]] = {}
    for envelope in envelopes:
        if envelope.sequence is not None and envelope.sequence > last_sequences.get(envelope.source, 0):
            numbers.setdefault(envelope.source, set()).add(envelope.sequence)
    newest = {source: max(found) for source, found in numbers.items()}
    missing = sum(newest[source] - last_sequences.get(source, 0) - len(found) for source, found in numbers.items())
    return missing, newest
