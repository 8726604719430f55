"""Answers that are computed without waiting: their requests need no task, and nothing of what ASGI makes for one.

The server asks for them where the request came whole, in one piece, on a connection that has nothing else under way.
Every other request is handed to the application, so it answers the same ones there too.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

Headers = list[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """A whole answer; the server adds the length of the body, and closes the connection if it must."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


@runtime_checkable
class AnswersAtOnce(Protocol):
    """An application that answers some POSTs without waiting."""

    def may_answer_at_once(self, target: bytes) -> bool:
        """Whether a POST to that address, as it was sent, may be one of them."""
        ...

    def answer_at_once(self, target: bytes, headers: Headers, body: bytes) -> Answer | None:
        """The answer to a POST; None when the application must be asked, which has seen nothing of it then.

        Never raises.
        """
        ...
