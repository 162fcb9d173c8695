"""A corpus: any folder of .npy cubes.

Decides which files belong to it, their order and a guess of the sensor from the file name.  What makes an
array a cube is decided by `lhic.cube`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from lhic.errors import DatasetError

# First match wins. Names as used by the public copies of these scenes.
_SENSOR_PATTERNS = (
    ("EnMAP", r"enmap"),
    ("ROSIS", r"abu[_-]beach[_-]4|pavia|rosis"),  # the fourth ABU beach is Pavia; all others are AVIRIS
    ("AVIRIS", r"aviris|abu[_-]|indian[_-]?pines|salinas|cuprite|jasper|moffett|ksc|yellowstone"),
    ("HYDICE", r"hydice|urban|washington|dc[_-]?mall"),
    ("HyMap", r"hymap"),
    ("SAMSON", r"samson"),
    ("Hyperion", r"hyperion|botswana"),
    ("PRISMA", r"prisma"),
    ("DESIS", r"desis"),
    ("EMIT", r"emit"),
    ("CASI", r"casi|houston"),
    ("NEON AOP", r"neon"),
)


def guess_sensor(name: str) -> str:
    """Sensor a cube's file name hints at, or "unknown". For grouping rows of a table, nothing else.

    >>> guess_sensor("abu_airport_1"), guess_sensor("enmap_potsdam_A"), guess_sensor("scene7")
    ('AVIRIS', 'EnMAP', 'unknown')
    """
    for sensor, pattern in _SENSOR_PATTERNS:
        if re.match(pattern, name, re.IGNORECASE):
            return sensor
    return "unknown"


def find_cubes(folder: str | os.PathLike) -> list[Path]:
    """The .npy files of a folder in order of their names.

    Raises
    ------
    DatasetError
        If the folder is missing or holds none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise DatasetError(f"{folder}: expected a folder of .npy cubes, found {found}")
    paths = sorted(folder.glob("*.npy"))
    if not paths:
        raise DatasetError(f"{folder}: expected .npy cubes, found none")
    return paths
