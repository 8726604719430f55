"""The signing keys that a process knows from the access topic: the newest document of each, revoked for good."""

from modelyard_events.access import SigningKeyChanged
from modelyard_events.envelope import RecordOrder


class SigningKeys:
    """Keys by id. A revoked key never works again: no document, however new, brings it back."""

    def __init__(self) -> None:
        self._by_id: dict[str, tuple[RecordOrder, SigningKeyChanged]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def take_in(self, document: SigningKeyChanged, *, order: RecordOrder) -> None:
        """Apply a document unless a newer one of its key is known; `order` is (generation, sequence)."""
        before = self._by_id.get(document.key_id)
        if before is not None and order <= before[0]:
            return
        was_revoked = before is not None and before[1].revoked
        kept = document.model_copy(update={"revoked": True}) if was_revoked else document
        self._by_id[document.key_id] = (order, kept)

    def find(self, key_id: str) -> SigningKeyChanged | None:
        """The key of that id as it now is, whatever has become of it."""
        found = self._by_id.get(key_id)
        return found[1] if found is not None else None
