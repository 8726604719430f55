"""A server that fails repeatedly is not asked for a pause; then one request tries it first."""

from modelyard_router.domain.breaker import Blame, Breakers


def a_failing(times: int) -> Breakers:
    breakers = Breakers(failures_max=3, pause_s=2.0)
    for _ in range(times):
        breakers.failed("it", now_s=0.0)
    return breakers


def test_fewer_failures_than_the_limit_open_no_breaker() -> None:
    assert a_failing(2).permits("it", now_s=0.0)


def test_repeated_failures_open_the_breaker_of_that_key_only() -> None:
    breakers = a_failing(3)

    assert not breakers.permits("it", now_s=1.9)
    assert breakers.permits("another", now_s=1.9)


def test_a_success_in_between_begins_the_count_anew() -> None:
    breakers = a_failing(2)

    breakers.succeeded("it")
    breakers.failed("it", now_s=0.0)

    assert breakers.permits("it", now_s=0.0)


def test_after_the_pause_one_request_tries_first() -> None:
    breakers = a_failing(3)

    assert [breakers.permits("it", now_s=2.0) for _ in range(3)] == [True, False, False]


def test_a_try_that_fails_pauses_again_and_one_that_succeeds_ends_it() -> None:
    breakers = a_failing(3)

    breakers.permits("it", now_s=2.0)
    breakers.failed("it", now_s=2.5)
    assert not breakers.permits("it", now_s=4.4)
    assert breakers.permits("it", now_s=4.5)
    breakers.succeeded("it")
    assert [breakers.permits("it", now_s=4.5) for _ in range(3)] == [True, True, True]


def a_share_failing(breakers: Breakers, *shares: str, times: int = 3, now_s: float = 0.0) -> None:
    for share in shares:
        for _ in range(times):
            breakers.failed("it", share=share, now_s=now_s)


def test_failures_of_one_share_stop_that_share_only() -> None:
    breakers = Breakers(failures_max=3, pause_s=2.0)

    a_share_failing(breakers, "attacker", times=100)

    assert not breakers.permits("it", share="attacker", now_s=1.0)
    assert all(breakers.permits("it", share="victim", now_s=1.0) for _ in range(10))


def test_a_share_that_never_failed_may_ask_however_many_others_fail() -> None:
    breakers = Breakers(failures_max=3, pause_s=2.0)

    a_share_failing(breakers, *(f"attacker-{number}" for number in range(2_000)))

    assert breakers.permits("it", share="victim", now_s=1.0)
    breakers.succeeded("it", share="victim")
    breakers.failed("it", share="victim", now_s=1.0)
    assert breakers.permits("it", share="victim", now_s=1.0)


def test_when_several_shares_failed_and_none_succeeded_those_are_stopped_after_their_first_failure() -> None:
    breakers = Breakers(failures_max=3, pause_s=2.0)

    a_share_failing(breakers, "a", "b", "c", times=1)

    assert [breakers.permits("it", share=share, now_s=1.0) for share in "abc"] == [False, False, False]
    assert [breakers.permits("it", share=share, now_s=2.0) for share in "abc"] == [True, False, False]
    breakers.succeeded("it", share="a")
    assert [breakers.permits("it", share=share, now_s=2.0) for share in "abc"] == [True, True, True]


def test_an_unreachable_server_is_paused_for_all_shares_and_tried_by_one_request() -> None:
    breakers = Breakers(failures_max=3, pause_s=2.0)
    for share in "abc":
        breakers.failed("it", share=share, blame=Blame.EVERYBODY, now_s=0.0)

    assert not breakers.permits("it", share="victim", now_s=1.9)
    assert [breakers.permits("it", share=share, now_s=2.0) for share in ("victim", "a", "b")] == [True, False, False]
    breakers.succeeded("it", share="victim")
    assert breakers.permits("it", share="a", now_s=2.0)


def test_a_failure_that_counts_against_nobody_opens_no_breaker() -> None:
    breakers = Breakers(failures_max=3, pause_s=2.0)
    for _ in range(10):
        breakers.failed("it", share="a", blame=Blame.NOBODY, now_s=0.0)

    assert breakers.permits("it", share="a", now_s=0.0)
