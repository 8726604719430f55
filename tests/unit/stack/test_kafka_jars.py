"""Kafka's jars are used only with the bytes that were recorded, however they came."""

import hashlib
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from modelyard_stack import StackError
from modelyard_stack.kafka_jars import (
    ATTEMPTS_MAX,
    Jar,
    Progress,
    downloads_directory,
    ensure_jars,
    recorded_jars,
)

BYTES = {"one": b"the first jar", "two": b"the second jar", "three": b"the third jar"}
JARS = [
    Jar(coordinate=f"org.example:{name}:1.0", sha256=hashlib.sha256(content).hexdigest())
    for name, content in BYTES.items()
]


class Repository:
    """Answers with the jars' bytes; what it is told to spoil, it spoils that many times."""

    def __init__(self, *, spoil: dict[str, int] | None = None, fail: Iterable[str] = ()) -> None:
        self.asked: list[str] = []
        self._spoil = dict(spoil or {})
        self._fail = set(fail)
        self._lock = threading.Lock()

    def fetch(self, jar: Jar, directory: Path) -> Path:
        name = jar.coordinate.split(":")[1]
        with self._lock:
            self.asked.append(name)
            spoilt = self._spoil.get(name, 0) > 0
            self._spoil[name] = self._spoil.get(name, 0) - 1
        if name in self._fail:
            raise ConnectionError("no route to the repository")
        path = directory / jar.filename
        path.write_bytes(b"something else" if spoilt else BYTES[name])
        return path


def ensure(repository: Repository, *, directory: Path, reports: list[Progress] | None = None) -> list[Path]:
    report = (lambda _: None) if reports is None else reports.append
    return ensure_jars(JARS, directory=directory, fetch=repository.fetch, report=report)


@pytest.fixture(autouse=True)
def _no_pause_between_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelyard_stack.kafka_jars.RETRY_PAUSE_S", 0)


def test_the_record_names_each_jar_of_the_broker_once_with_its_digest() -> None:
    jars = recorded_jars()

    assert len(jars) == 46
    assert len({jar.coordinate for jar in jars}) == len({jar.filename for jar in jars}) == 46
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)
    # What a resolver would get wrong when asked for everything at once.
    assert {"kafka-clients-4.3.1.jar", "jackson-databind-2.21.2.jar"} <= {jar.filename for jar in jars}


def test_what_is_missing_is_fetched_once(tmp_path: Path) -> None:
    repository = Repository()

    first = ensure(repository, directory=tmp_path)
    second = ensure(repository, directory=tmp_path)

    assert sorted(repository.asked) == ["one", "three", "two"]
    assert first == second
    assert [path.read_bytes() for path in first] == list(BYTES.values())


def test_an_altered_jar_is_refused_and_fetched_again(tmp_path: Path) -> None:
    repository = Repository()
    paths = ensure(repository, directory=tmp_path)
    paths[1].write_bytes(b"altered on the disk")

    ensure(repository, directory=tmp_path)

    assert sorted(repository.asked) == ["one", "three", "two", "two"]
    assert paths[1].read_bytes() == BYTES["two"]


def test_a_jar_that_comes_with_other_bytes_is_asked_for_again(tmp_path: Path) -> None:
    repository = Repository(spoil={"two": 1})

    paths = ensure(repository, directory=tmp_path)

    assert repository.asked.count("two") == 2
    assert paths[1].read_bytes() == BYTES["two"]


def test_a_jar_that_never_has_the_recorded_bytes_is_refused(tmp_path: Path) -> None:
    repository = Repository(spoil={"two": ATTEMPTS_MAX})

    with pytest.raises(StackError, match=r"org\.example:two:1\.0: its bytes do not have the recorded SHA-256"):
        ensure(repository, directory=tmp_path)

    assert not (tmp_path / "two-1.0.jar").exists()


def test_a_failed_fetch_says_why_and_keeps_what_was_fetched(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no route to the repository"):
        ensure(Repository(fail=["three"]), directory=tmp_path)
    repository = Repository()

    ensure(repository, directory=tmp_path)

    assert "three" in repository.asked
    assert sorted(path.name for path in tmp_path.glob(".fetching-*")) == []


def test_what_a_killed_fetch_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / ".fetching-killed"
    left.mkdir()

    ensure(Repository(), directory=tmp_path)

    assert not left.exists()


def test_two_processes_at_once_fetch_each_jar_once(tmp_path: Path) -> None:
    repository = Repository()
    threads = [threading.Thread(target=ensure, args=[repository], kwargs={"directory": tmp_path}) for _ in "ab"]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(repository.asked) == ["one", "three", "two"]


def test_a_cache_that_cannot_be_written_to_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory", encoding="utf-8")

    with pytest.raises(StackError, match="Set XDG_CACHE_HOME"):
        ensure(Repository(), directory=tmp_path / "file" / "kafka")


def test_the_progress_is_told_jar_by_jar(tmp_path: Path) -> None:
    reports: list[Progress] = []

    ensure(Repository(), directory=tmp_path, reports=reports)
    ensure(Repository(), directory=tmp_path, reports=reports)

    assert [report.done for report in reports] == [0, 1, 2, 3]
    assert {report.total for report in reports} == {3}


def test_the_cache_is_where_the_user_wants_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    by_default = downloads_directory()

    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")

    assert by_default == Path("/home/ada/.cache/modelyard")
    assert downloads_directory() == Path("/caches/modelyard")
