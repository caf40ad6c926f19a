"""Energy is what the counters of the packages say, also where they begin anew; without counters it is not a number."""

from __future__ import annotations

import math
from pathlib import Path

from hmr_light.cost.energy import EnergyMeter


def counter(root: Path, name: str, value: int, most: int = 1000) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "max_energy_range_uj").write_text(f"{most}\n")
    (folder / "energy_uj").write_text(f"{value}\n")
    return folder / "energy_uj"


def test_packages_are_added_up(tmp_path: Path) -> None:
    first, second = counter(tmp_path, "intel-rapl:0", 100), counter(tmp_path, "intel-rapl:1", 900)
    core = counter(tmp_path, "intel-rapl:0:0", 0)
    meter = EnergyMeter(tmp_path)
    assert meter.joules() == 0
    first.write_text("150\n")
    second.write_text("20\n")  # began anew
    core.write_text("500\n")
    assert math.isclose(meter.joules(), (50 + 120) / 1e6)
    assert meter.joules() == 0


def test_without_counters_it_is_not_a_number(tmp_path: Path) -> None:
    assert math.isnan(EnergyMeter(tmp_path / "absent").joules())
    counter(tmp_path, "intel-rapl:0", 1).unlink()
    assert math.isnan(EnergyMeter(tmp_path).joules())
