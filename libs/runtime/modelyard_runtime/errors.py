"""Who must act on a failure: time, or nobody. (The third family, the caller, gets a problem response.)"""


class TransientError(Exception):
    """Time must act: the same thing may work later. Retried for as long as it takes."""


class PermanentError(Exception):
    """Nobody can make this work: the record goes to the dead letters.

    `reason` is a short code in snake case, fit for a metric label; the message is a sentence for people.
    """

    def __init__(self, message: str, *, reason: str = "permanent") -> None:
        super().__init__(message)
        self.reason = reason


class StaleOffsetError(Exception):
    """The store is already past these records: another consumer applied them.

    A store's guard raises it in a batch handler (stored next offset > first offset of the batch); the
    consumer answers by asking for the stored offsets again and seeking there.
    """


class PublishFailedError(TransientError):
    """The broker did not acknowledge the event in time. It may have been stored all the same."""


class PublishUnclearError(Exception):
    """The broker did not take the event and did not say why: worth a few more attempts, and not endless ones."""


class EventTooLargeError(PermanentError):
    """The event is larger than a broker takes, or this one refused it for ever."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="event_too_large")
