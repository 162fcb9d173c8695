"""Learned lossless compression of hyperspectral cubes.

The public names are here; importing them needs neither torch nor a GPU.
"""

from lhic import console

with console.interrupts_end_it(console.is_command()):
    from lhic.api import decode, decode_file, decode_tile, encode, encode_file, inspect, preview, read_auxiliary, verify
    from lhic.errors import LhicError
    from lhic.families.registry import DEFAULT_MODEL, list_models, load_model
    from lhic.formats import load_cube, save_cube
    from lhic.opened import StreamCube
    from lhic.opened import open_cube as open
    from lhic.release import __version__

__all__ = [
    "DEFAULT_MODEL",
    "LhicError",
    "StreamCube",
    "__version__",
    "decode",
    "decode_file",
    "decode_tile",
    "encode",
    "encode_file",
    "inspect",
    "list_models",
    "load_cube",
    "load_model",
    "open",
    "preview",
    "read_auxiliary",
    "save_cube",
    "verify",
]
