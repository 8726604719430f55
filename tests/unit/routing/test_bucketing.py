"""Where a unit falls never changes: recorded vectors, uniformity, independence, other processes."""

import json
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_routing.allocation import threshold_of, traffic, treatment
from modelyard_routing.bucketing import (
    BUCKETS,
    Domain,
    bucket_of,
    draw,
    part,
    prefix,
    unit_hash,
    unit_key,
)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "bucketing.json").read_text())
UNITS = 20_000
DEVIATIONS_MAX = 6


def is_plausible(chi_square: float, *, degrees: int) -> bool:
    """Whether a chi-square statistic is within six standard deviations of its mean."""
    return abs(chi_square - degrees) < DEVIATIONS_MAX * math.sqrt(2 * degrees)


def buckets(domain: Domain, *, salt: str, units: int = UNITS) -> list[int]:
    drawn_from = prefix(domain, salt=salt)
    return [bucket_of(drawn_from, unit=unit_key(tenant="acme", unit_id=f"user-{number}")) for number in range(units)]


@pytest.mark.parametrize("vector", VECTORS["draws"], ids=lambda vector: vector["about"])
def test_a_recorded_draw_never_changes(vector: dict[str, Any]) -> None:
    unit = unit_key(tenant=vector["tenant"], unit_id=vector["unit_id"], unit_type=vector["unit_type"])
    drawn_from = prefix(Domain(vector["domain"]), salt=vector["salt"])

    assert (drawn_from + unit).hex() == vector["hashed_hex"]
    assert f"{draw(drawn_from, unit):016x}" == vector["draw_hex"]
    assert bucket_of(drawn_from, unit=unit) == vector["bucket"]


@pytest.mark.parametrize("vector", VECTORS["unit_hashes"], ids=lambda vector: vector["about"])
def test_a_recorded_unit_hash_never_changes(vector: dict[str, str]) -> None:
    unit = unit_key(tenant=vector["tenant"], unit_id=vector["unit_id"], unit_type=vector["unit_type"])

    assert unit_hash(unit, secret=vector["secret"].encode()) == vector["unit_hash"]


def test_another_process_with_another_hash_seed_draws_the_same() -> None:
    program = (
        "from modelyard_routing.bucketing import *\n"
        "p = prefix(Domain.ARM, salt='s')\n"
        "print([bucket_of(p, unit=unit_key(tenant='acme', unit_id=f'user-{n}')) for n in range(50)])"
    )

    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed in ("0", "4711")
    }

    assert answers == {str(buckets(Domain.ARM, salt="s", units=50))}


@pytest.mark.parametrize("domain", list(Domain))
def test_units_spread_evenly_over_the_buckets(domain: Domain) -> None:
    counts = [0] * 100
    for bucket in buckets(domain, salt="a-salt"):
        counts[bucket * 100 // BUCKETS] += 1

    expected = UNITS / 100
    assert is_plausible(sum((count - expected) ** 2 / expected for count in counts), degrees=99)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((Domain.ARM, "salt-1"), (Domain.ARM, "salt-2")),
        ((Domain.EXPOSE, "salt-1"), (Domain.ARM, "salt-1")),
    ],
    ids=["two salts", "two domains"],
)
def test_draws_of_different_salts_or_domains_are_independent(
    one: tuple[Domain, str], other: tuple[Domain, str]
) -> None:
    first, second = buckets(one[0], salt=one[1]), buckets(other[0], salt=other[1])
    cells = Counter((left * 10 // BUCKETS, right * 10 // BUCKETS) for left, right in zip(first, second, strict=True))

    expected = UNITS / 100
    assert is_plausible(sum((cells[i, j] - expected) ** 2 / expected for i in range(10) for j in range(10)), degrees=99)


def test_composed_and_decomposed_letters_are_the_same_unit() -> None:
    composed = unit_key(tenant="acme", unit_id="Zo\u00eb")
    decomposed = unit_key(tenant="acme", unit_id="Zoe\u0308")

    assert composed == decomposed


def test_parts_cannot_be_confused_with_each_other() -> None:
    keys = {
        unit_key(tenant="ab", unit_id="c"),
        unit_key(tenant="a", unit_id="bc"),
        unit_key(tenant=None, unit_id="c"),
        unit_key(tenant="", unit_id="c"),
        unit_key(tenant="ab", unit_id="c", unit_type="account"),
    }

    assert len(keys) == 5


def test_absent_and_empty_differ() -> None:
    assert part(None) == b"\xff\xff\xff\xff"
    assert part("") == b"\x00\x00\x00\x00"


@given(st.text(max_size=700).filter(lambda text: text.isprintable()))
def test_a_part_starts_with_its_length_in_bytes(text: str) -> None:
    hashed = part(text)

    assert int.from_bytes(hashed[:4], "big") == len(hashed) - 4


@given(share_bp=st.integers(0, BUCKETS), number=st.integers(0, 2**64 - 1))
def test_the_threshold_says_exactly_what_the_bucket_says(share_bp: int, number: int) -> None:
    assert (number < threshold_of(share_bp)) == ((number * BUCKETS) >> 64 < share_bp)


@pytest.mark.parametrize("share_bp", [1, 4_999, 5_000, 9_999])
def test_the_threshold_is_exact_at_its_edge(share_bp: int) -> None:
    edge = threshold_of(share_bp)

    assert ((edge - 1) * BUCKETS) >> 64 == share_bp - 1
    assert (edge * BUCKETS) >> 64 == share_bp


@given(lower=st.integers(0, BUCKETS), higher=st.integers(0, BUCKETS), unit_id=st.text(min_size=1, max_size=20))
def test_raising_a_share_only_moves_units_into_it(lower: int, higher: int, unit_id: str) -> None:
    lower, higher = sorted((lower, higher))
    unit = part(unit_id.encode("utf-8", "replace").decode())

    for few, many in (
        (treatment(salt="s", share_bp=lower), treatment(salt="s", share_bp=higher)),
        (traffic(salt="s", traffic_bp=lower), traffic(salt="s", traffic_bp=higher)),
    ):
        assert not few.takes(unit) or many.takes(unit)


@pytest.mark.parametrize(("share_bp", "takes"), [(0, 0), (BUCKETS, 1_000)])
def test_nobody_and_everybody_are_exact(share_bp: int, takes: int) -> None:
    share = treatment(salt="s", share_bp=share_bp)

    assert sum(share.takes(part(str(number))) for number in range(1_000)) == takes


@pytest.mark.parametrize("share_bp", [-1, BUCKETS + 1])
def test_a_share_beyond_all_units_is_refused(share_bp: int) -> None:
    with pytest.raises(ValueError, match="basis points"):
        treatment(salt="s", share_bp=share_bp)


def test_a_unit_hash_differs_by_tenant_and_by_secret() -> None:
    acme, other = (unit_key(tenant=tenant, unit_id="user-1") for tenant in ("acme", "other"))

    assert len({unit_hash(acme), unit_hash(other), unit_hash(acme, secret=b"s")}) == 3


@pytest.mark.parametrize("length", [0, 1, 511, 512, 513, 70_000])
def test_a_part_begins_with_its_length(length: int) -> None:
    assert part("a" * length) == length.to_bytes(4, "big") + b"a" * length
