"""What a Dask worker imports first, so that it knows the family of tests/stored_family.py, too."""

from lhic.families import registry

registry.FAMILIES["stored"] = "tests.stored_family"
