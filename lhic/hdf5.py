"""The filter for HDF5: ``import lhic.hdf5`` registers it with h5py (docs/hdf5.md)."""

from lhic.integrations.hdf5 import FILTER, lhic

__all__ = ["FILTER", "lhic"]
