"""What is parked can be read and sent again with the program of the how-to; a record too large to park whole is cut."""

import re
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from modelyard_events.limits import PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX
from modelyard_runtime.consume import Delivery
from modelyard_runtime.errors import PermanentError

from tests.integration.runtime.corner import Corner, eventually, number_of, text_headers
from tests.topic_limits import take_at_most

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "read-dead-letters.md").read_text()


@pytest.fixture
def program() -> dict[str, Any]:
    """The functions of the program on the page."""
    (code,) = re.findall(r"<<'END'\n(.*?)^END$", PAGE, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, "read-dead-letters.md", "exec"), names)
    return names


async def test_an_event_that_is_sent_again_once_its_cause_is_mended_is_handled(
    corner: Corner, program: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    is_mended = False
    seen: list[int] = []

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        if not is_mended:
            raise PermanentError("came too early", reason="early")
        seen.append(number_of(delivery.event))

    await corner.publish(7)
    async with corner.consuming(on_entity_changed):
        await corner.dead_letters(count=1)
        await program["main"](corner.bootstrap, corner.topic_name)
        printed = capsys.readouterr().out
        is_mended = True
        await program["main"](corner.bootstrap, corner.topic_name, "0")
        await eventually(lambda: seen == [7])

    assert "\n0\tearly\tcame too early\t" in f"\n{printed}"
    first, again = await corner.records(corner.topic_name, count=2)
    assert (again.key, again.value, again.headers) == (first.key, first.value, first.headers)


async def test_a_record_that_would_be_too_large_as_a_dead_letter_is_cut_and_still_parked(
    corner: Corner, program: dict[str, Any]
) -> None:
    seen: list[int] = []

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        seen.append(number_of(delivery.event))

    # As on a topic from before its batches were unpacked by the broker: compressed, the record fits.
    await take_at_most(RECORD_BYTES_MAX, bootstrap=corner.bootstrap, topic_name=corner.topic_name)
    value = b"x" * 1_500_000
    async with AIOKafkaProducer(
        bootstrap_servers=corner.bootstrap,
        compression_type="gzip",
        max_request_size=2_000_000,
        max_batch_size=2_000_000,
    ) as compressing:
        await compressing.send_and_wait(corner.topic_name, value, key=b"large", partition=0)
    await corner.publish(1)
    async with corner.consuming(on_entity_changed):
        await eventually(lambda: seen == [1])

    (letter,) = await corner.dead_letters(count=1)
    assert letter.value == value[:PAYLOAD_BYTES_MAX]
    told = text_headers(letter)
    assert told["reason"] == "record_too_large"
    assert told["cut"] == f"0 headers, a value of {len(value)} bytes"
    with pytest.raises(SystemExit, match="cut when it was parked"):
        await program["send_again"](corner.bootstrap, corner.topic_name, letter.offset)
