"""How a cube is cut into tiles: spatial rectangles that hold all the bands and are coded independently.

Row by row, as ``docs/format.md`` section 1.2 numbers them.  Tiles at the right and lower edges are smaller;
nothing here pads.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """One spatial rectangle of a cube: rows ``row .. row+n_rows-1``, columns ``column .. column+n_columns-1``."""

    index: int
    row: int
    column: int
    n_rows: int
    n_columns: int

    @property
    def window(self) -> tuple[slice, slice, slice]:
        """Index of the tile's samples in the cube."""
        return (
            slice(None),
            slice(self.row, self.row + self.n_rows),
            slice(self.column, self.column + self.n_columns),
        )


@dataclass(frozen=True)
class TileGrid:
    """The tiles of a cube of `n_rows` x `n_columns`, numbered row by row."""

    n_rows: int
    n_columns: int
    tile_rows: int
    tile_columns: int

    @property
    def n_across(self) -> int:
        return -(-self.n_columns // self.tile_columns)

    @property
    def n_down(self) -> int:
        return -(-self.n_rows // self.tile_rows)

    def __len__(self) -> int:
        return self.n_down * self.n_across

    def __getitem__(self, index: int) -> Tile:
        if not 0 <= index < len(self):
            raise IndexError(index)
        row = index // self.n_across * self.tile_rows
        column = index % self.n_across * self.tile_columns
        return Tile(
            index,
            row,
            column,
            min(self.tile_rows, self.n_rows - row),
            min(self.tile_columns, self.n_columns - column),
        )

    def __iter__(self):
        return (self[index] for index in range(len(self)))
