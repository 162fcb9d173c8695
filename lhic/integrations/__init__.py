"""lhic inside other libraries: a codec for Zarr 3 and one for numcodecs, an engine and an accessor for xarray.

Nothing here is imported by `import lhic`: the libraries find these modules through the entry points of pyproject.toml.
"""
