"""A relay as a process of its own: `python -m tests.faults.relay_process <dsn> <bootstrap> <prefix> <trigger>`.

When the file `trigger` exists, the process removes it and stops itself at the worst moment there is:
between the last look at its leadership and the send that follows. Whoever resumes it has a zombie.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from modelyard_registry.outbox.leadership import LeaderSession
from modelyard_registry.outbox.relay import Relay, RelaySettings
from modelyard_runtime.clock import utc_now
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.logs import configure_logs


def main() -> None:
    """Run until killed."""
    dsn, bootstrap, prefix, trigger = sys.argv[1:]
    configure_logs(service="relay", level="info", layout="json")
    _stop_between_look_and_send(Path(trigger))
    settings = RelaySettings(postgres_dsn=dsn, kafka=KafkaConnection(bootstrap=bootstrap), topic_prefix=prefix)
    asyncio.run(_run(settings))


async def _run(settings: RelaySettings) -> None:
    await Relay(settings, clock=utc_now, new_id=new_uuid7).run()


def _stop_between_look_and_send(trigger: Path) -> None:
    """The one thing that cannot be had from outside with certainty: the moment."""
    look = LeaderSession.confirm

    async def look_and_stop(session: LeaderSession) -> None:
        await look(session)
        _stop_if_asked(trigger)

    # The method is replaced in this process only, which is a test's own.
    LeaderSession.confirm = look_and_stop  # type: ignore[assignment,method-assign]  # The process stops itself here.


def _stop_if_asked(trigger: Path) -> None:
    if trigger.exists():
        trigger.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    main()
