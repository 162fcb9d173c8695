"""A picture of three bands, from as little decoding as the stream's family allows.

Decides which bands and how their values become grey levels; what has to be read and computed for them is the model's
business.  A quicklook, not data: nothing is checked against the stream's checksums over the samples.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lhic.api import decode_first_bands
from lhic.errors import UsageError
from lhic.families.family import Model, Progress
from lhic.stream.header import read_index
from lhic.stream.tiles import Stream

RGB_NM = (640.0, 550.0, 460.0)
SPREAD = (1 / 2, 1 / 3, 1 / 6)
"""Parts of the spectrum, for want of wavelengths: long before short, and half of the bands never needed."""
PERCENTILES = (2, 98)


@dataclass(frozen=True)
class Preview:
    """image : uint8 (H, W, 3); bands : of red, green and blue; the rest says what it took."""

    image: np.ndarray
    bands: tuple[int, int, int]
    bytes_read: int
    stream_bytes: int
    samples_computed: int
    n_samples: int


def preview(
    stream: Stream,
    bands: Sequence[int] | None = None,
    device: str = "auto",
    *,
    model: str | os.PathLike | Model | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Preview:
    """Decode three bands to look at.

    Parameters
    ----------
    stream : bytes, or a file: no more of it is touched than needed
    bands : red, green and blue, counted from 0; default: `choose_bands`
    device, model, threads, progress : as `lhic.decode` takes them

    Raises
    ------
    UsageError
        A band the stream does not have.
    LhicError
        What `lhic.api.decode_first_bands` raises.

    Examples
    --------
    >>> import lhic
    >>> cube = np.arange(6 * 8 * 8, dtype="int16").reshape(6, 8, 8)
    >>> look = preview(lhic.encode(cube))
    >>> look.image.shape, look.bands
    ((8, 8, 3), (3, 2, 1))
    """
    index = read_index(stream)
    header = index.header
    n_bands = header.shape[0]
    bands = choose_bands(n_bands, header.metadata.get("wavelengths")) if bands is None else tuple(bands)
    if len(bands) != 3 or not all(0 <= band < n_bands for band in bands):
        raise UsageError(f"bands: expected three numbers of 0..{n_bands - 1}, found {','.join(map(str, bands))}")
    computed = []
    cube, bytes_read = decode_first_bands(
        stream, max(bands) + 1, device, model=model, threads=threads, progress=_both(computed.append, progress)
    )
    nodata = header.metadata.get("nodata", np.iinfo(cube.dtype).min if cube.dtype.kind == "i" else None)
    image = np.stack([stretch(cube[band], nodata) for band in bands], axis=-1)
    return Preview(image, bands, bytes_read, index.stream_bytes, sum(computed), header.n_samples)


def choose_bands(n_bands: int, wavelengths: Sequence[float] | None = None) -> tuple[int, int, int]:
    """Bands nearest to 640, 550 and 460 nm; without wavelengths those at 1/2, 1/3 and 1/6 of the spectrum."""
    if wavelengths is None:
        return tuple(int(n_bands * part) for part in SPREAD)
    centres = np.asarray(wavelengths, np.float64)
    return tuple(int(np.abs(centres - wanted).argmin()) for wanted in RGB_NM)


def stretch(band: np.ndarray, nodata: float | None = None) -> np.ndarray:
    """Grey levels: the 2nd percentile of the data and what is below becomes 0, the 98th and above 255.

    band : integers (h, w)
    nodata : value that becomes 0 and does not count
    Returns uint8 (h, w); a band of one value is 0.
    """
    valid = np.ones(band.shape, bool) if nodata is None else band != nodata
    if not valid.any():
        return np.zeros(band.shape, np.uint8)
    low, high = np.percentile(band[valid], PERCENTILES)
    scaled = (band.astype(np.float64) - low) * (255 / max(high - low, 1))
    return np.where(valid, scaled.clip(0, 255), 0).round().astype(np.uint8)


def _both(count: Progress, progress: Progress | None) -> Progress:
    def advance(n_samples: int) -> None:
        count(n_samples)
        if progress is not None:
            progress(n_samples)

    return advance
