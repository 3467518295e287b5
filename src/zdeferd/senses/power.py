"""Detects whether the machine runs on mains power or on a battery.

Linux: the kernel's list of power supplies (Documentation/ABI/testing/sysfs-class-power). Mains
power is what counts; a battery is asked only where no adapter is listed. Batteries of devices (a
mouse, a phone) are passed over. Elsewhere psutil answers. A machine whose supplies say nothing
clear runs on mains: a job that waited for certainty could wait for ever.
"""

import os
import sys
from collections.abc import Iterable

from ..conditions import Power

SUPPLIES = "/sys/class/power_supply"
ADAPTERS = frozenset({"Mains", "USB", "Wireless"})
BATTERIES = frozenset({"Battery", "UPS"})


def power(folder: str = SUPPLIES) -> Power:
    """Return where the power comes from now."""
    if sys.platform != "linux":
        return _by_psutil()
    supplies = [_read(f"{folder}/{name}") for name in _names(folder)]
    return power_of(one for one in supplies if one.get("scope") != "Device")


def power_of(supplies: Iterable[dict[str, str]]) -> Power:
    """Return where the power comes from, by the attributes of the machine's own supplies."""
    known = list(supplies)
    adapters = [one.get("online") for one in known if one.get("type") in ADAPTERS]
    batteries = [one for one in known if one.get("type") in BATTERIES and _is_in(one)]
    if not batteries or any(online not in (None, "0") for online in adapters):
        return Power.AC
    mains = [one for one in known if one.get("type") == "Mains" and one.get("online") == "0"]
    discharging = any(one.get("status") == "Discharging" for one in batteries)
    charging = any(one.get("status") == "Charging" for one in batteries)
    return Power.BATTERY if discharging or (mains and not charging) else Power.AC


def _is_in(battery: dict[str, str]) -> bool:
    return battery.get("present") != "0"


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _read(supply: str) -> dict[str, str]:
    """Return the attributes of a supply that count; one that cannot be read is left out."""
    found = {}
    for name in ("type", "scope", "online", "present", "status"):
        try:
            with open(f"{supply}/{name}", encoding="ascii", errors="replace") as file:
                found[name] = file.read(64).strip()
        except OSError:
            continue
    return found


def _by_psutil() -> Power:
    import psutil  # 30 ms, and on Linux the kernel's files say more

    battery = psutil.sensors_battery()
    return Power.BATTERY if battery is not None and battery.power_plugged is False else Power.AC
