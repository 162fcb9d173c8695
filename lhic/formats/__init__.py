"""Files with cubes: a reader and, where it is asked for, a writer for each format.

`open_cube` finds the reader; what a reader is, `lhic.formats.base` says.  docs/formats.md has the table.
"""

from lhic.formats.base import CubeFile, Scene
from lhic.formats.registry import create_cube, load_cube, open_cube, save_cube

__all__ = ["CubeFile", "Scene", "create_cube", "load_cube", "open_cube", "save_cube"]
