"""Units of wavelengths, and where files that have no rule for them put them."""

from __future__ import annotations

import re
from typing import Any

UNITS = {
    "nm": "nm nanometer nanometers nanometre nanometres".split(),
    "um": "um µm μm micron microns micrometer micrometers micrometre micrometres".split(),
    "mm": "mm millimeter millimeters".split(),
    "m": "m meter meters metre".split(),
    "cm-1": "cm-1 cm^-1 1/cm wavenumber wavenumbers".split(),
    "GHz": "ghz gigahertz".split(),
}
LONG_NAMES = {"nm": "Nanometers", "um": "Micrometers", "mm": "Millimeters", "m": "Meters", "cm-1": "Wavenumber"}
IN_DESCRIPTION = re.compile(r"\(?\s*([0-9]+(?:\.[0-9]+)?)\s*(nanometers?|nm|micrometers?|um|µm|μm)\b", re.IGNORECASE)


def unit_of(text: str) -> str | None:
    """The short name of a unit; None for one that is none of wavelengths.

    >>> unit_of("Micrometers")
    'um'
    """
    wanted = text.strip().lower()
    return next((unit for unit, names in UNITS.items() if wanted in names), None)


def add_unit(found: dict[str, Any], said: str | None, notes: list[str]) -> None:
    """Put `wavelength_unit` beside wavelengths: as it was said, else as their size tells, which is told."""
    if said and said.strip().lower() not in ("unknown", "none", "1", ""):
        found["wavelength_unit"] = unit_of(said) or said.strip()
        return
    numbers = found.get("wavelengths") or []
    if not numbers:
        return
    middle = sorted(numbers)[len(numbers) // 2]
    unit = "nm" if 100 <= middle <= 30_000 else "um" if 0.1 <= middle <= 30 else None
    if unit:
        found["wavelength_unit"] = unit
        notes.append(
            f"wavelengths without a unit, {numbers[0]} to {numbers[-1]}, are taken for {LONG_NAMES[unit].lower()}"
        )
    else:
        found["wavelength_unit"] = "unknown"


def of_descriptions(texts: list[str]) -> tuple[list[float], str] | None:
    """Wavelengths that the bands' descriptions hold, all of them in one unit.

    >>> of_descriptions(["band 1 (418.24 Nanometers)", "band 2 (423.874 Nanometers)"])
    ([418.24, 423.874], 'nm')
    """
    found = [IN_DESCRIPTION.search(text or "") for text in texts]
    if not found or not all(found):
        return None
    units = {unit_of(match[2]) for match in found if match}
    unit = units.pop()
    return ([float(match[1]) for match in found if match], unit) if unit and not units else None
