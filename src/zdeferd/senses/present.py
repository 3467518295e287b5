"""Reads all that conditions depend on at once, for an answer about them."""

import os

from ..rules.conditions import AGAIN_S, Senses
from .network import online
from .power import power


def senses(now: float, quiet_s: float) -> Senses:
    """Return the senses at `now`, of a machine whose user has pressed no key for `quiet_s`."""
    return Senses(
        power=power(),
        online=online(),
        load=os.getloadavg()[0],
        load_again_at=now + AGAIN_S,
        quiet_since=now - quiet_s,
    )
