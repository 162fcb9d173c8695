"""lhic inside other libraries: codecs for Zarr 3 and numcodecs.

Nothing here is imported by `import lhic`: the libraries find these modules through the entry points of pyproject.toml.
"""
