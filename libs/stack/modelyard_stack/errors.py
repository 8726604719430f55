"""What can go wrong with the stack, in sentences that say what to change."""

from pathlib import Path

LOG_TAIL_LINES = 40


class StackError(Exception):
    """The development stack cannot do what was asked; the message says what to change."""


class ServerFailedError(StackError):
    """A server of the stack did not start; the message carries the end of its log."""

    def __init__(self, name: str, *, reason: str, log: Path) -> None:
        super().__init__(f"{name} {reason}. The end of its log, {log}:\n{_tail_of(log)}")
        self.name = name
        self.log = log


def _tail_of(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return "  (it wrote none)"
    return "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:]) or "  (it is empty)"
