"""Mains or battery: of machines without a battery, with two, and with supplies that lie."""

import sys
from pathlib import Path

import pytest

from zdeferd.conditions import Power
from zdeferd.senses.power import power, power_of

MAINS_ON = {"type": "Mains", "online": "1"}
MAINS_OFF = {"type": "Mains", "online": "0"}
USB_ON, USB_OFF = ({"type": "USB", "online": value} for value in "10")


def battery(status: str, **more: str) -> dict[str, str]:
    return {"type": "Battery", "status": status} | more


@pytest.mark.parametrize(
    ("supplies", "expected"),
    [
        ([], Power.AC),
        ([MAINS_OFF], Power.AC),
        ([MAINS_ON, battery("Charging")], Power.AC),
        ([MAINS_OFF, battery("Discharging")], Power.BATTERY),
        ([MAINS_OFF, battery("Unknown"), battery("Discharging")], Power.BATTERY),
        ([MAINS_OFF, battery("Full"), battery("Not charging")], Power.BATTERY),
        ([MAINS_ON, battery("Discharging")], Power.AC),
        ([MAINS_OFF, USB_ON, battery("Discharging")], Power.AC),
        ([USB_OFF, USB_OFF, battery("Discharging")], Power.BATTERY),
        ([USB_OFF, battery("Not charging")], Power.AC),
        ([battery("Unknown")], Power.AC),
        ([battery("")], Power.AC),
        ([MAINS_OFF, battery("Charging")], Power.AC),
        ([MAINS_OFF, battery("Discharging", present="0")], Power.AC),
        ([{"type": "UPS", "status": "Discharging"}], Power.BATTERY),
        ([{}, {"type": "nonsense"}], Power.AC),
    ],
)
def test_where_the_power_comes_from(supplies: list[dict[str, str]], expected: Power) -> None:
    assert power_of(supplies) is expected


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's folder of supplies is Linux's")
def test_the_folder_of_supplies_is_read_and_devices_do_not_count(tmp_path: Path) -> None:
    assert power(str(tmp_path / "none")) is Power.AC
    supplies = {
        "hidpp_battery_0": battery("Discharging", scope="Device"),
        "AC": MAINS_OFF,
        "BAT0": battery("Charging"),
    }
    for name, attributes in supplies.items():
        (tmp_path / name).mkdir()
        for attribute, value in attributes.items():
            (tmp_path / name / attribute).write_text(f"{value}\n")
    assert power(str(tmp_path)) is Power.AC
    (tmp_path / "BAT0" / "status").write_text("Discharging\n")
    assert power(str(tmp_path)) is Power.BATTERY
