"""Waits after failures in a row."""

from zdeferd.rules.backoff import RETRY_LONGEST_S, SPREAD, Backoff, retry_wait_s


def test_waits_double_up_to_the_longest_and_begin_anew() -> None:
    backoff = Backoff(1.0, 5.0)
    assert [backoff.failed() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.worked()
    assert backoff.failed() == 1.0


def test_a_retry_waits_longer_after_each_failure_and_never_more_than_an_hour() -> None:
    for failed, least in ((1, 30.0), (2, 60.0), (4, 240.0)):
        waits = [retry_wait_s(30.0, failed, run) for run in range(1, 100)]
        assert least <= min(waits)
        assert max(waits) <= least * (1 + SPREAD)
        assert len(set(waits)) == 99, "jobs that failed together part"
    assert retry_wait_s(30.0, 1000, 1) <= RETRY_LONGEST_S
    assert retry_wait_s(3600.0, 1, 1) <= RETRY_LONGEST_S
