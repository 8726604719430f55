"""The frame around an event: CloudEvents 1.0 attributes, with the extensions Modelyard uses."""

from dataclasses import dataclass
from datetime import datetime

RecordOrder = tuple[int, int]
"""(`generation`, `sequence`) of an envelope: of two records of one topic and key, the greater one is newer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Who said what about which subject, and when.

    `id` is a UUIDv7 and the dedupe key. `subject` is what the event is about and also the Kafka key.
    `sequence` is gapless per topic and key on the registry's topics; order is (`generation`,
    `sequence`), and the generation rises when the database was restored to an earlier point or failed
    over. `correlation_id` names the whole story, `causation_id` the direct cause.
    """

    id: str
    source: str
    type: str
    subject: str
    occurred_at: datetime
    sequence: int | None = None
    generation: int | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    actor: str | None = None

    @property
    def order(self) -> RecordOrder:
        """How new this record is among those of its topic and key.

        A missing generation counts as 1 and a missing sequence as 0, so an unordered event is never newer than an
        ordered one.
        """
        return (self.generation or 1, self.sequence or 0)
