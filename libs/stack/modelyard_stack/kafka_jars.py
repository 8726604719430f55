"""Apache Kafka's jars: recorded with their digests, fetched once per user, verified at every use."""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from modelyard_stack.errors import StackError

KAFKA_VERSION = "4.3.1"
FETCHERS = 6
ATTEMPTS_MAX = 4
RETRY_PAUSE_S = 1.0
REQUEST_TIMEOUT_S = 60
SPACE_PREFIX = ".fetching-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """One recorded jar: `group:artifact:version` and the SHA-256 of its bytes in hex."""

    coordinate: str
    sha256: str

    @property
    def filename(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a fetch is, in jars."""

    done: int
    total: int


Fetch = Callable[[Jar, Path], Path]
"""Get one jar, using the directory given as working space; the answer is where its bytes are. Not trusted."""

Report = Callable[[Progress], None]


def recorded_jars() -> list[Jar]:
    """The jars of the broker, as recorded in `kafka_jars.txt`."""
    text = resources.files("modelyard_stack").joinpath("kafka_jars.txt").read_text(encoding="utf-8")
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [Jar(coordinate=coordinate, sha256=sha256) for sha256, coordinate in rows]


def downloads_directory() -> Path:
    """Return the directory below the user's cache directory into which Kafka is downloaded."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "modelyard"


def ensure_jars(jars: list[Jar], *, directory: Path, fetch: Fetch, report: Report) -> list[Path]:
    """The paths of `jars` in `directory`, each verified; missing or altered ones are fetched.

    Several processes may do this at once. Raises `StackError` when a jar cannot be had with its digest.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"Cannot keep Kafka's jars in {directory}: {error.strerror}."
        raise StackError(f"{reason} Set XDG_CACHE_HOME to a directory that you may write to.") from error
    if wrong_or_missing(jars, directory=directory):
        with (directory / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Another process may have fetched them while this one waited for the lock.
            _fetch_all(wrong_or_missing(jars, directory=directory), directory=directory, fetch=fetch, report=report)
    return [directory / jar.filename for jar in jars]


def wrong_or_missing(jars: list[Jar], *, directory: Path) -> list[Jar]:
    """Those of `jars` whose file in `directory` is not there or has not the recorded digest."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        right = list(pool.map(lambda jar: is_right(directory / jar.filename, jar=jar), jars))
    return [jar for jar, ok in zip(jars, right, strict=True) if not ok]


def is_right(path: Path, *, jar: Jar) -> bool:
    """Whether the file is there and has exactly the recorded bytes."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def fetch_with_jgo(jar: Jar, directory: Path) -> Path:
    """Fetch one jar by its coordinate from Maven's default repository."""
    # Imported here: it takes a fifth of a second, and is needed once per machine.
    from jgo.maven import MavenContext

    group, artifact, version = jar.coordinate.split(":")
    context = MavenContext(repo_cache=directory, timeout=REQUEST_TIMEOUT_S)
    return Path(context.project(group, artifact).at_version(version).artifact().resolve())


def report_to_terminal(progress: Progress) -> None:
    """Show the progress on standard error: a line that is redrawn on a terminal, only its ends elsewhere."""
    text = f"Fetching Apache Kafka {KAFKA_VERSION}: {progress.done} of {progress.total} jars"
    if sys.stderr.isatty():
        print(f"\r{text}", end="\n" if progress.done == progress.total else "", file=sys.stderr, flush=True)
    elif progress.done in (0, progress.total):
        print(text, file=sys.stderr, flush=True)


def _fetch_all(jars: list[Jar], *, directory: Path, fetch: Fetch, report: Report) -> None:
    if not jars:
        return
    report(Progress(done=0, total=len(jars)))
    for stale in directory.glob(f"{SPACE_PREFIX}*"):  # Of a process that was killed: the lock is ours now.
        shutil.rmtree(stale, ignore_errors=True)
    # Inside the same directory, so that a fetched jar takes its place by a rename.
    with (
        tempfile.TemporaryDirectory(dir=directory, prefix=SPACE_PREFIX) as space,
        ThreadPoolExecutor(max_workers=FETCHERS) as pool,
    ):
        fetching = [pool.submit(_fetch_one, jar, directory, Path(space) / jar.sha256, fetch) for jar in jars]
        try:
            for done, future in enumerate(as_completed(fetching), start=1):
                future.result()
                report(Progress(done=done, total=len(jars)))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_one(jar: Jar, directory: Path, space: Path, fetch: Fetch) -> None:
    reason = ""
    for attempt in range(ATTEMPTS_MAX):
        attempt_space = space / str(attempt)
        attempt_space.mkdir(parents=True)
        try:
            fetched = fetch(jar, attempt_space)
        except Exception as error:  # Whatever the resolver raises: the network's errors have many types.
            reason = f"{type(error).__name__}: {error}"
            time.sleep(RETRY_PAUSE_S * attempt)
            continue
        if is_right(fetched, jar=jar):
            os.replace(fetched, directory / jar.filename)
            return
        reason = "its bytes do not have the recorded SHA-256"
    raise StackError(
        f"Cannot fetch {jar.coordinate}: {reason}. Check the connection to Maven's repository, then run "
        "`python -m modelyard_stack fetch` again; jars that were fetched are kept."
    )
