"""The short form of the campaign: 200 kills at random instants, under load."""

import random

from kills.campaign import many_arenas

KILLS, ARENAS = 200, 5


def test_two_hundred_random_kills_break_no_rule() -> None:
    seed = random.SystemRandom().randrange(10**6)
    results = many_arenas(KILLS, ARENAS, seed)
    assert [(result.seed, breach) for result in results for breach in result.breaches] == []
    assert sum(result.kills.total() for result in results) >= KILLS
    assert len({kind for result in results for kind in result.kills}) > 5
