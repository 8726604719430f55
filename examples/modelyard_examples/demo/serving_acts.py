"""Acts four to seven: requests are routed, cached, kept fresh, compared and tested in an experiment."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence

from modelyard_examples.demo.publishing_acts import deploy
from modelyard_examples.demo.screen import Screen
from modelyard_examples.demo.topics import records_of
from modelyard_examples.demo.traffic import Loan, Traffic, predict_all
from modelyard_examples.demo.waiting import until
from modelyard_examples.demo.world import World
from modelyard_examples.recipes import DEBT_CONSOLIDATION_V2, MODEL_TYPE
from modelyard_examples.registry_client import Document

CHANGED_LOANS = 40
# How many standard deviations of a fair coin the share may be off: beyond five, chance is no explanation.
EVEN_SHARE_DEVIATIONS_MAX = 5.0


async def route(screen: Screen, world: World, loans: Sequence[Loan]) -> None:
    """Ask for a prediction about each loan, twice; show who answered and why."""
    screen.act("Route", "The router reads the loan's features, picks the version, asks its endpoint and says why.")
    with screen.counting("predicting", total=2 * len(loans)) as advance:
        first = await predict_all(world, loans, on_answer=advance)
        again = await predict_all(world, loans, on_answer=advance)
    _show_decisions(screen, first)
    _show_speed(screen, first, again)
    _claim_selection(screen, first)
    cached = sum(asked.prediction.cache == "hit" for asked in again.answered)
    screen.claim(
        "the same question again is answered from the cache",
        held=cached == len(loans) and not again.failed,
        seen=f"{cached:,} of {len(loans):,} from the cache",
    )


def _show_decisions(screen: Screen, traffic: Traffic) -> None:
    decisions = Counter(
        (asked.loan["loan_purpose"], f"{asked.prediction.model}:{asked.prediction.number}", asked.prediction.reason)
        for asked in traffic.answered
    )
    screen.table(
        "loan purpose", "answered by", "because", "requests",
        rows=[(*decision, f"{count:,}") for decision, count in decisions.most_common(8)],
    )  # fmt: skip


def _show_speed(screen: Screen, first: Traffic, again: Traffic) -> None:
    screen.table(
        "round", "answers per second", "p50 ms", "p99 ms", "failed",
        rows=[
            (name, f"{t.per_second:,.0f}", f"{t.latency_ms(0.5):.1f}", f"{t.latency_ms(0.99):.1f}", len(t.failed))
            for name, t in (("computed", first), ("from the cache", again))
        ],
    )  # fmt: skip


def _claim_selection(screen: Screen, traffic: Traffic) -> None:
    by_purpose: dict[str, Counter[str]] = {}
    for asked in traffic.answered:
        by_purpose.setdefault(asked.loan["loan_purpose"], Counter())[asked.prediction.reason] += 1
    debt, card = by_purpose["debt_consolidation"], by_purpose["credit_card"]
    screen.claim(
        "debt_consolidation is served by its industry model",
        held=set(debt) == {"industry_champion"},
        seen=_counted(debt),
    )
    screen.claim(
        "credit_card falls to the global model",
        held=set(card) == {"global_champion"},
        seen=_counted(card),
    )


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{count:,} by {reason}" for reason, count in reasons.most_common())


async def keep_fresh(screen: Screen, world: World, loans: Sequence[Loan]) -> None:
    """Change some loans in the system of record: their predictions die, the others live on."""
    screen.act("Keep fresh", "The loan book publishes entity.changed; everything cached about that loan is purged.")
    changed = list(loans[:CHANGED_LOANS])
    with screen.counting("changing loans", total=len(changed)) as advance:
        for loan in changed:
            await change_income(world, loan)
            advance()
    await until("every change is purged", lambda: _are_purged(world, changed))
    traffic = await predict_all(world, loans)
    fate = Counter((asked.loan in changed, asked.prediction.cache) for asked in traffic.answered)
    screen.table(
        "loans", "answered from the cache", "computed anew",
        rows=[
            ("changed", fate[True, "hit"], fate[True, "miss"]),
            ("untouched", fate[False, "hit"], fate[False, "miss"]),
        ],
    )  # fmt: skip
    screen.claim(
        "no prediction about a changed loan came from the cache, and only those were computed anew",
        held=fate == {(True, "miss"): len(changed), (False, "hit"): len(loans) - len(changed)},
        seen=f"{fate[True, 'miss']} of {len(changed)} computed anew, {fate[False, 'hit']:,} others still cached",
    )


async def change_income(world: World, loan: Loan) -> None:
    """Raise a borrower's income in the loan book."""
    change = {"annual_income": float(loan["annual_income"]) * 1.5 + 1_000}
    async with world.http.patch(f"{world.loan_book_url}/loans/{loan['id']}", json=change) as answer:
        answer.raise_for_status()


async def _are_purged(world: World, changed: Sequence[Loan]) -> bool:
    purged = {record.data["entity_id"] for record in await records_of(world, "cache-invalidations.v1")}
    return purged >= {loan["id"] for loan in changed}


async def compare(screen: Screen, world: World) -> None:
    """Show the shadow ledger: each answer of an industry model was also asked of the global one."""
    screen.act(
        "Shadow", "Whenever an industry model served, the global model was asked the same, off the caller's path."
    )
    rows: list[Document] = []

    async def has_settled() -> bool:
        rows[:] = (await world.registry.call("GET", f"/shadow-ledger?model_type={MODEL_TYPE}"))["items"]
        return bool(rows) and all(row["requested"] > 0 and row["in_flight"] == 0 for row in rows)

    with screen.waiting("replays are running out"):
        await until("the shadow ledger adds up", has_settled)
    columns = ("requested", "compared", "failed", "expired", "dropped", "matched", "drifted")
    screen.table(
        "served", "shadow", *columns, "mean difference",
        rows=[
            (row["served"], row["shadow"], *(row[name] for name in columns), f"{row['difference_mean']:+.2f}")
            for row in rows
        ],
    )  # fmt: skip
    ends = ("compared", "failed", "expired", "dropped")
    screen.claim(
        "the shadow ledger adds up: requested = compared + failed + expired + dropped",
        held=all(row["requested"] == sum(row[end] for end in ends) for row in rows),
        seen=f"{sum(row['requested'] for row in rows):,} requested, {sum(row['compared'] for row in rows):,} compared",
    )


async def experiment(screen: Screen, world: World, loans: Sequence[Loan], candidate: Document) -> None:
    """Test the champion against a candidate on the borrowers of one industry, then stop."""
    screen.act("Experiment", "A consistent-hash A/B test: the same borrower always gets the same variant.")
    key = f"boosted-{uuid.uuid4().hex[:6]}"
    await deploy(world, candidate)
    await world.registry.transition(
        candidate["model"], candidate["number"], to_stage="canary", reason="to be compared with the champion"
    )
    await world.registry.call("POST", "/experiments", _plan(key, candidate))
    await until("the router runs the experiment", lambda: _runs(world, key))
    debt = [loan for loan in loans if loan["loan_purpose"] == DEBT_CONSOLIDATION_V2.industry]
    with screen.counting("predicting", total=2 * len(debt)) as advance:
        first = await predict_all(world, debt, on_answer=advance)
        again = await predict_all(world, debt, on_answer=advance)
    given, given_again = _variants_of(first), _variants_of(again)
    expected = Counter(given.values()) + Counter(given_again.values())
    counts: dict[str, Document] = {}

    async def are_counted() -> bool:
        answer = await world.registry.call("GET", f"/experiments/{key}/counts")
        counts.update({row["variant"]: row for row in answer["variants"]})
        return {name: row["requests"] for name, row in counts.items()} == dict(expected)

    await until("the registry has counted every request", are_counted)
    screen.table(
        "variant", "borrowers", "requests", "exposures", "errors",
        rows=[
            (name, Counter(given.values())[name], row["requests"], row["exposures"], row["errors"])
            for name, row in sorted(counts.items())
        ],
    )  # fmt: skip
    _claim_an_even_share(screen, given)
    screen.claim("every borrower kept the variant", held=given == given_again, seen=f"{len(given):,} asked twice")
    screen.claim(
        "the registry counted each request once",
        held={name: row["requests"] for name, row in counts.items()} == dict(expected),
        seen=f"{sum(expected.values()):,} requests",
    )
    await world.registry.call("POST", f"/experiments/{key}/stop", {"reason": "the demo has seen enough"})


def _claim_an_even_share(screen: Screen, given: Mapping[str, str]) -> None:
    share = Counter(given.values())["treatment"] / len(given)
    tolerance = EVEN_SHARE_DEVIATIONS_MAX * 0.5 / len(given) ** 0.5
    screen.claim(
        "half of the borrowers get the treatment, as near as chance allows",
        held=abs(share - 0.5) < tolerance,
        seen=f"{share:.1%} of {len(given):,}; chance explains 50% ± {tolerance:.0%}",
    )


def _plan(key: str, candidate: Document) -> Document:
    return {
        "key": key,
        "model_type": MODEL_TYPE,
        "hypothesis": "Boosting errs less than the forest on the same loans.",
        "treatment": {"model": candidate["model"], "number": candidate["number"], "share_bp": 5_000},
        "traffic_bp": 10_000,
        "industries": [DEBT_CONSOLIDATION_V2.industry],
    }


async def _runs(world: World, key: str) -> bool:
    running = [each for route in await world.router.routes() for each in route["document"]["experiments"]]
    return any(each["key"] == key for each in running)


def _variants_of(traffic: Traffic) -> dict[str, str]:
    return {asked.loan["id"]: str(asked.prediction.receipt.get("variant")) for asked in traffic.answered}
