"""lhic inside libraries of others: one module for each of them, which `import lhic` does not import.

Zarr, numcodecs and xarray find theirs by the entry points of pyproject.toml; whoever wants others imports them.
"""
