"""How many connections a process holds, and which ones go when another comes.

Whoever only opens connections must not keep others out: while there is no room, those go that have waited longest for
their own peers. Those that never sent the headers of a request go first.
"""

from typing import Protocol

from modelyard_runtime.metrics import HTTP_CONNECTIONS

ROOM_SHARE = 20
"""One in twenty of the connections makes room at once: looking through all of them for each new one would be slow."""


class Connection(Protocol):
    """A connection that can be told to make room."""

    def waits(self) -> tuple[bool, float] | None:
        """Whether it ever sent the headers of a request, and the moment from which on it is not waited for any more.

        None while it is busy with a request that came whole.
        """
        ...

    def make_room(self) -> None:
        """Close the connection now."""
        ...


class Connections:
    """The open connections of one process."""

    def __init__(self, *, connections_max: int) -> None:
        self._max = connections_max
        self._open: set[Connection] = set()

    def admit(self, connection: Connection) -> bool:
        """Count a connection in, at the cost of some that wait when there is no room. False when all are busy."""
        if len(self._open) >= self._max and not self._make_room():
            return False
        self._open.add(connection)
        HTTP_CONNECTIONS.set(len(self._open))
        return True

    def forget(self, connection: Connection) -> None:
        """The connection is closed."""
        self._open.discard(connection)
        HTTP_CONNECTIONS.set(len(self._open))

    def _make_room(self) -> bool:
        waiting = [(since, id(each), each) for each in self._open if (since := each.waits()) is not None]
        waiting.sort()
        for _, _, victim in waiting[: max(1, self._max // ROOM_SHARE)]:
            self.forget(victim)
            victim.make_room()
        return bool(waiting)
