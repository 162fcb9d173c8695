"""lhic inside libraries of others: one module for each of them, which `import lhic` does not import.

Zarr, numcodecs and xarray find theirs through the entry points of pyproject.toml; the others are imported by whoever wants
them.
"""
