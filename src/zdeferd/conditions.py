"""The conditions for a run to start, besides its turn, as plain values."""

from enum import StrEnum

from msgspec import Struct


class Power(StrEnum):
    """Where the machine's power comes from."""

    AC = "ac"
    BATTERY = "battery"


class Conditions(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The conditions for a run to start, besides its turn."""

    quiet_s: float | None = None
    """No key was pressed for so long."""
    power: Power | None = None
    load_below: float | None = None
    """The load average of one minute is below."""
    online: bool = False
    """True: the machine has a way out, a default route."""
    not_before: float | str | None = None
    """Seconds after the claim, or a local time of day, `HH:MM`."""
    deadline: float | str | None = None
    """As `not_before`: a run that has not started by then is missed."""
    opens_at: float = 0.0
    """The instant of `not_before`, computed at the claim."""
    closes_at: float | None = None
    """The instant of `deadline`, computed at the claim."""
