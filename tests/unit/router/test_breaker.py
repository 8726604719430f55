"""Who fails repeatedly is left alone for a moment, and then tried by one request first."""

from modelyard_router.domain.breaker import Breakers


def a_failing(times: int) -> Breakers:
    breakers = Breakers(failures_max=3, pause_s=2.0)
    for _ in range(times):
        breakers.failed("it", now_s=0.0)
    return breakers


def test_a_few_failures_change_nothing() -> None:
    assert a_failing(2).permits("it", now_s=0.0)


def test_repeated_failures_pause_only_that_one() -> None:
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
