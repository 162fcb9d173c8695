"""The command line: ``lhic encode | decode | export | verify | diff | preview | explore | info | models | ...``.

A thin wrapper: it reads and writes files, shows progress on stderr and turns errors into one line and an exit code
(2 for usage, 1 for data, 128 and the signal's number).  Results go to stdout, or to stderr if the output does.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import stat
import sys
import time
import webbrowser
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from tqdm import tqdm

import lhic
from lhic import batch, cluster, console, done
from lhic.api import saving_of_a_bound
from lhic.arguments import whole_number
from lhic.comparison import Comparison, check_comparable
from lhic.data import open_dataset
from lhic.errors import (
    BackendError,
    BatchError,
    CorruptStreamError,
    InvalidCubeError,
    LhicError,
    TruncatedStreamError,
    UsageError,
    message_of,
    named,
)
from lhic.extras import needs
from lhic.families.family import Work, silent
from lhic.families.raw import RawModel
from lhic.families.registry import (
    DEFAULT_MODEL,
    DEVICES,
    family_of,
    find_weights,
    load_model,
    resolve_device,
    weights_files,
)
from lhic.families.weights import read_description
from lhic.formats import CubeFile, Scene, open_cube, registry, zarr
from lhic.formats.axes import suspicion
from lhic.formats.registry import open_original, stream_name
from lhic.io.atomic import atomic_write, check_not_input
from lhic.io.memory import memory_budget
from lhic.io.source import STANDARD, Source, open_source
from lhic.io.threads import n_threads
from lhic.stream.header import MAGIC, MAX_AXIS, read_index
from lhic.stream.metadata import in_samples, write_metadata
from lhic.stream.packed import MIN_BYTES, write_code

EXIT_DATA = 1
FAMILY_OPTIONS = "param_d", "tuning_steps", "coder"  # what a model makes of them does not depend on the cube
MANY_BITS = 10
"""A sample of floats; above this it is worth saying what a bound would save."""
BAR_DELAY_S = 2.0  # what is done, or fails, in less time shows no progress bar


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    console.prepare()
    with console.ended_by_signals():  # to the end: also a second interrupt is one line
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = _parse(arguments)
        options.command(options)
    except LhicError as error:
        return _complain(error, error.exit_code)
    except OSError as error:
        return _complain(f"{error.filename or 'file'}: {error.strerror or error}", EXIT_DATA)
    except MemoryError:
        return _complain("expected enough memory for a batch of tiles, found too little; set LHIC_MEMORY_BUDGET", 1)
    except KeyboardInterrupt:
        return console.interrupted()
    except console.Ended as end:
        return _complain(f"ended by {end.signal.name}; nothing is half-written", 128 + end.signal)
    return 0


def _complain(message: object, exit_code: int) -> int:
    print(f"lhic: error: {message_of(message)}", file=sys.stderr)
    return exit_code


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks how a line may go on, and end; else nothing."""
    if "_ARGCOMPLETE" in os.environ:
        with suppress(ImportError):
            import argcomplete

            argcomplete.autocomplete(parser)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    try:
        parser = build_parser()
        _complete(parser)
        options, rest = parser.parse_known_args(arguments)
        if rest and (not hasattr(options, "paths") or any(part != STANDARD and part.startswith("-") for part in rest)):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        if rest:
            options.paths += rest  # argparse does not take names again behind an option
        return options
    finally:
        console.say("", end="")  # what argparse did: help, perhaps


class Parser(argparse.ArgumentParser):
    """Tells what is wrong in one line, as every error here is told."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"lhic: error: {message_of(message)}; '{self.prog} --help' says more\n")


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="lhic",
        description="Lossless compression of hyperspectral cubes.",
        epilog="Exit codes: 0 done, 1 bad data, 2 bad usage, 130 interrupted. A file '-' is standard input or output. "
        "Examples: 'lhic COMMAND --help'.",
    )
    parser.add_argument("--version", action="version", version=f"lhic {lhic.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    coders = add_encode, add_decode, add_export, add_verify, add_diff
    looks = add_preview, add_explore, add_info, add_models
    adders = *coders, *looks, add_compile, add_train, add_import, add_import_linerwkv
    for add in adders:
        add(commands)
    return parser


# --- encode -----------------------------------------------------------------------------------------------------------


def add_encode(commands) -> None:
    examples = """examples:
  lhic encode scene.tif
  lhic encode cube.npy cube.lhic --axes rows,columns,bands
  lhic encode L2A.nc --variable reflectance
  lhic encode cube.npy cube.lhic --model lhic-bp-xs --param-d 8 --device cpu
  lhic encode cube.npy cube.lhic --metadata bands.json
  lhic encode cube.npy cube.lhic --max-error 2
  lhic encode reflectance.npy cube.lhic --max-error 1e-4
  lhic encode scene.tif cube.lhic --max-error-physical 0.001
  lhic encode cube.npy cube.lhic --tuning-steps 300
  lhic encode scenes --out-dir streams --scheduler tcp://host:8786
  cat cube.npy | lhic encode - - | ssh host 'cat > cube.lhic'
"""
    add = _command(commands, "encode", run_encode, "compress a cube", examples).add_argument
    files = "a file of a format that docs/formats.md lists (.npy, ENVI, GeoTIFF, NetCDF, ...), and the stream to write"
    add(
        "paths",
        metavar="PATH",
        nargs="+",
        help=f"{files} (default: the file's name, with .lhic); or many files, folders",
    )
    add("--variable", metavar="NAME", help="which array of a file with several; of a TIFF, the number of the page")
    add("--axes", metavar="NAMES", help="axes in the file's order: rows,columns,bands, say, or bsq, bil, bip")
    models = "one that 'lhic models' lists, or a .safetensors file"
    add("--model", metavar="NAME|PATH", default=DEFAULT_MODEL, help=f"{models} (default: {DEFAULT_MODEL})")
    add("--param-d", type=int, metavar="D", help="bits in the lower of a sample's two parts (default: the model's)")
    bound = "let samples change by up to E, in their own unit (default: 0, lossless)"
    add("--max-error", type=_number, default=0, metavar="E", help=bound)
    physical = "the same in the unit of the file's scale, reflectance say: scale * sample + offset changes by up to E"
    add("--max-error-physical", type=_number, metavar="E", help=physical)
    tuning = "fit the network of lhic-ax to the cube by N steps, e.g. 300, and send what changed, where that pays "
    add("--tuning-steps", type=int, metavar="N", help=tuning + "(default: up to the model; decoding takes no longer)")
    tiles = "rows and columns of a tile (default: about 128x128); windows of small ones are read faster"
    add("--tile", metavar="ROWSxCOLUMNS", type=_tile, dest="tile_shape", help=tiles)
    add("--coder", metavar="NAME", help="of linerwkv: mixture (ours, the default) or ccsds123 (its authors')")
    add("--metadata", metavar="FILE.json", help="wavelengths, fwhm, nodata, crs, ... to store")
    _add(add, "--device", "--threads", "--force", "--quiet", "--out-dir", "--jobs", "--scheduler")


def run_encode(options: argparse.Namespace) -> None:
    one = _one_file(options, registry.is_cube, zarr.is_store)
    if one is None:
        _check_for_all(options)
        jobs, lost = batch.jobs_of(options.paths, registry.find_cubes, zarr.is_store, stream_name, options.out_dir)
        _run_batch(options, jobs, lost, _encode_job)
        return
    options.input, options.output = one
    _check_one_standard_input(options.input, options.metadata)
    if options.output is not None:
        check_not_input(options.output, 0 if options.input == STANDARD else options.input)
    found, n_bytes = _encode(options)
    _tell(
        options,
        f"{options.output}: {found['stream_bytes']} bytes, {found['bits_per_sample']:.4f} bits per sample, "
        f"{n_bytes / found['stream_bytes']:.2f} times smaller, {_loss(found['max_error'])}",
    )


def _tell_of_bounds(cube: CubeFile, options: argparse.Namespace) -> None:
    """Most floats hold bits that nobody measured."""
    keywords = {"threads": options.threads}
    saving = saving_of_a_bound(cube, options.model, options.device, **keywords)
    if saving is not None and saving.bounded < saving.lossless:
        found = f"{saving.lossless:.1f} bits a sample keep each bit of {cube.dtype.name} samples"
        advice = f"--max-error {saving.max_error:g} would take {saving.bounded:.1f}"
        print(f"lhic: note: {message_of(cube.path)}: {found}; {advice}, judged from its middle", file=sys.stderr)


def _encode(options: argparse.Namespace) -> tuple[dict, int]:
    """What is in the stream, and how many bytes the samples took."""
    extra: dict[str, Any] = _given(options, "tile_shape", "max_error_physical", *FAMILY_OPTIONS)
    if options.max_error:  # no error is what every family does
        extra["max_error"] = options.max_error
    with open_cube(options.input, options.variable, options.axes) as cube:  # tells a bad cube first
        if options.output is None:
            if options.input == STANDARD:
                raise UsageError("encode: expected a name for the stream of standard input, found none")
            options.output = stream_name(options.input)
        if options.metadata is not None:
            extra["metadata"] = _read_metadata(options.metadata, cube.shape[0], options.output)
        if options.max_error_physical is not None:
            said = {**cube.metadata, **extra.get("metadata", {})}
            in_samples(options.max_error_physical, said, cube.dtype, f"{cube.path}: --max-error-physical")
        _tell_notes(cube)
        with _progress_bar(cube.size, options) as progress:
            keywords = {"overwrite": options.force, "threads": options.threads, "progress": progress, **extra}
            keywords["memory_budget"] = getattr(options, "memory_budget", None)
            found = lhic.encode_file(cube, options.output, options.model, options.device, **keywords)
        if cube.dtype.kind == "f" and not found["max_error"] and found["bits_per_sample"] > MANY_BITS:
            _tell_of_bounds(cube, options)
        return found, cube.nbytes


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _encode_job(options: argparse.Namespace, job: batch.Job) -> batch.Outcome:
    console.prepare()  # of a process of its own
    if not options.force and os.path.lexists(job.target):
        _check_encoded(options, job)
        return batch.Outcome(job, "skipped")
    started = time.perf_counter()
    found, n_bytes = _encode(_of_job(options, job))
    seconds, n_samples = time.perf_counter() - started, math.prod(found["shape"])
    return batch.Outcome(job, "done", n_bytes, found["stream_bytes"], n_samples, seconds)


def _check_encoded(options: argparse.Namespace, job: batch.Job) -> None:
    """`LhicError` if what is there is not what is asked for now."""
    with open_cube(job.source, options.variable, options.axes) as cube:
        metadata = {} if options.metadata is None else _read_metadata(options.metadata, cube.shape[0])
        with done.mended_by_force():
            _check_options(options, job.target)
            done.check_encoded(job.target, cube, metadata, options.model, options.device, options.threads)


def _check_options(options: argparse.Namespace, stream: str) -> None:
    """`LhicError` if a stream is not one of the model, bound and tiles that are asked for."""
    found = lhic.inspect(stream)
    if family_of(found["family"]).without_weights:  # the samples as they are, which may stand for any model's stream
        return
    wanted = {"max_error": options.max_error}
    if options.max_error_physical is not None:
        dtype = np.dtype(found["dtype"])
        name = f"{stream}: --max-error-physical"
        bound = in_samples(options.max_error_physical, found["metadata"], dtype, name)
        wanted["max_error"] = found["max_error"] if math.isclose(found["max_error"], bound, rel_tol=1e-9) else bound
    if options.tile_shape is not None:
        rows_and_columns = zip(options.tile_shape, found["shape"][1:], strict=True)
        wanted["tile_shape"] = [min(asked, n) for asked, n in rows_and_columns]
    weights = read_description(find_weights(options.model))
    found["model"] += f" of {found['weights_sha256'][:16]}"
    wanted["model"] = f"{weights['name']} of {weights['sha256'][:16]}"
    for key, value in wanted.items():
        if found[key] != value:
            raise UsageError(f"{stream}: expected a stream with {key} {value}, found {found[key]}")


def _tell_notes(cube: CubeFile) -> None:
    """What the reader wants to be known; of axes that no file and nobody stated, whether they look swapped."""
    for note in cube.notes:
        print(f"lhic: note: {message_of(f'{cube.path}: {note}')}", file=sys.stderr)
    doubt = None if cube.axes_stated else suspicion(cube, cube.order)
    if doubt:
        print(f"lhic: warning: {message_of(f'{cube.path}: {doubt}')}", file=sys.stderr)


def _number(text: str) -> int | float:
    """What a text says, whole where it says so; 0 or more."""
    try:
        found = int(text) if text.strip("+-").isdigit() else float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise argparse.ArgumentTypeError(f"expected a finite number of 0 or more, found {text!r}")
    return found


def _tile(text: str) -> tuple[int, int]:
    """Rows and columns, as in 64x64."""
    rows, _, columns = text.lower().partition("x")
    if not all(side.isdecimal() and 1 <= int(side) <= MAX_AXIS for side in (rows, columns)):
        raise argparse.ArgumentTypeError(f"expected rows and columns as in 64x64, found {text!r}")
    return int(rows), int(columns)


def _loss(max_error: float) -> str:
    return f"near-lossless, |error| <= {max_error}" if max_error else "lossless"


def _read_metadata(path: str, n_bands: int, output: str | None = None) -> dict:
    """Of a JSON file, in UTF-8 whatever the locale; refused under the name of that file, also if it is the output."""
    with open_source(path, "a JSON file") as source, named(source.name):
        if output is not None:
            check_not_input(output, source.fileno())
        metadata = _json(source)
        write_metadata(metadata, n_bands)
        return metadata


def _json(source: Source) -> Any:
    try:
        found = json.loads(source[:].decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InvalidCubeError(f"expected JSON in UTF-8, found otherwise ({error})") from error
    if found is None:
        raise InvalidCubeError("expected a JSON object, found null")
    return found


# --- decode, verify ---------------------------------------------------------------------------------------------------


def add_decode(commands) -> None:
    examples = """examples:
  lhic decode scene.lhic
  lhic decode cube.lhic again.npy --verify cube.npy
  lhic decode scene.lhic -o scene.tif
  lhic decode cube.lhic corner.npy --tile 0
  lhic decode streams --out-dir scenes --jobs 2 --format nc
  lhic decode streams --out-dir scenes --scheduler tcp://host:8786
"""
    add = _command(commands, "decode", run_decode, "restore the file, or write another format", examples).add_argument
    written = "a stream, and the file to write, in the format of its suffix (default: that of the format that came in)"
    add("paths", metavar="PATH", nargs="+", help=f"{written}; or many streams, folders")
    add("-o", "--output", metavar="OUT", help="file to write")
    add("--format", metavar="SUFFIX", help="of files without a name: tif, hdr, nc, h5, zarr, mat, npy")
    add("--verify", metavar="ORIGINAL", help="compare; on a difference, fail and write nothing")
    add("--tile", type=int, metavar="N", help="decode this tile alone; tiles count from 0, row by row")
    _add(add, "--model", "--device", "--threads", "--force", "--quiet", "--out-dir", "--jobs", "--scheduler")


def run_decode(options: argparse.Namespace) -> None:
    one = _one_file(options, _is_stream, lambda folder: False)
    if one is None:
        if options.verify or options.tile is not None:
            raise UsageError("decode: expected one stream with --verify or --tile, found several")
        _check_for_all(options)
        jobs, lost = batch.jobs_of(
            options.paths,
            _find_streams,
            lambda folder: False,
            lambda path: _decoded_name(path, options),
            options.out_dir,
        )
        _run_batch(options, jobs, lost, _decode_job)
        return
    options.input, options.output = one
    _check_one_standard_input(options.input, options.verify)
    info, shape, error = _decode(options)
    _tell(options, f"{options.output}: {info['dtype']} {shape}{_verdict(error, info['max_error'])}")


def _decode(options: argparse.Namespace) -> tuple[dict, tuple[int, ...], float | None]:
    """What the stream says, the shape of what was written, and its largest error if it was compared."""
    with _open_stream(options) as stream:
        info = lhic.inspect(stream)
        if options.output is None:
            if STANDARD in (options.input, options.output) or options.tile is not None:
                raise UsageError("decode: expected a name for the output, found none")
            options.output = _decoded_name(options.input, options)
        if options.tile is not None:
            return info, *_decode_tile(stream, info["max_error"], options)
        with _progress_bar(math.prod(info["shape"]), options) as progress:
            keywords = {"model": options.model, "verify": options.verify, "overwrite": options.force}
            keywords |= {"threads": options.threads, "progress": progress}
            keywords["memory_budget"] = getattr(options, "memory_budget", None)
            keywords["plain"] = options.command is run_export
            error = lhic.decode_file(stream, options.output, options.device, **keywords)
    return info, tuple(info["shape"]), error


def _decode_job(options: argparse.Namespace, job: batch.Job) -> batch.Outcome:
    console.prepare()  # of a process of its own
    if not options.force and os.path.lexists(job.target):
        done.check_decoded(job.target, job.source)
        return batch.Outcome(job, "skipped")
    started = time.perf_counter()
    info, shape, _ = _decode(_of_job(options, job))
    seconds, n_bytes = time.perf_counter() - started, math.prod(shape) * np.dtype(info["dtype"]).itemsize
    return batch.Outcome(job, "done", n_bytes, info["stream_bytes"], math.prod(shape), seconds)


def _decoded_name(path: str, options: argparse.Namespace) -> str:
    scene = Scene((1, 1, 1), np.dtype("u1"))
    with suppress(LhicError, OSError), open_source(path, "an lhic stream") as stream:  # what is wrong, decoding tells
        header = read_index(stream).header
        scene = Scene(header.shape, header.dtype, header.metadata)
    return registry.usual_name(path, scene, options.format)


def _is_stream(path: str) -> bool:
    if os.path.isdir(path):
        return False
    with open_source(path) as source:
        return source[: len(MAGIC)] == MAGIC


def _find_streams(folder: str) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (os.path.join(place, name) for name in sorted(names) if name.lower().endswith(".lhic"))


def add_export(commands) -> None:
    examples = """examples:
  lhic export scene.lhic scene.tif     # a cloud-optimized GeoTIFF
  lhic export scene.lhic scene.zarr    # Zarr 3 with the attributes proj: and spatial:
  lhic export scene.lhic scene.nc
"""
    summary = "write a file for any reader of its format, whatever the source was"
    add = _command(commands, "export", run_export, summary, examples).add_argument
    add("input", metavar="IN.lhic", help="stream")
    add("output", metavar="OUT", help="file to write: .tif (COG), .hdr (ENVI), .nc, .zarr, .h5, .npy")
    _add(add, "--model", "--device", "--threads", "--force", "--quiet")


def run_export(options: argparse.Namespace) -> None:
    options.tile = options.verify = None
    info, shape, _ = _decode(options)
    _tell(options, f"{options.output}: {info['dtype']} {shape}")


def add_diff(commands) -> None:
    examples = """examples:
  lhic diff scene.tif scene.lhic
  lhic diff before.nc after.nc
"""
    summary = "say how two cubes differ, in files of any format or in streams"
    add = _command(commands, "diff", run_diff, summary, examples).add_argument
    add("first", metavar="A", help="file or stream")
    add("second", metavar="B", help="file or stream")
    _add(add, "--model", "--device", "--threads")


def run_diff(options: argparse.Namespace) -> None:
    from lhic.difference import difference

    keywords = {"model": options.model, "device": options.device, "threads": options.threads}
    lines = difference(options.first, options.second, **keywords)
    for line in lines:
        console.say(message_of(line))
    if lines:
        raise BatchError(f"{options.first} and {options.second} differ")
    console.say(message_of(f"{options.first} and {options.second}: equal samples, metadata and arrays"))


def _decode_tile(stream: Source, max_error: float, options: argparse.Namespace) -> tuple[tuple[int, ...], float | None]:
    """Shape of the tile, and its largest error if it is compared."""
    check_not_input(options.output, stream.fileno(), options.verify, *weights_files(options.model))
    keywords = {"model": options.model, "threads": options.threads}
    tile, error = lhic.decode_tile(stream, options.tile, options.device, **keywords), None
    if options.verify:
        header = read_index(stream).header
        with open_original(options.verify, header.metadata) as original:
            check_comparable(original, header.shape, header.dtype, original.path)
            comparison = Comparison(original, original.path, max_error)
            comparison[header.grid[options.tile].window] = tile
            error = comparison.verdict()
    lhic.save_cube(options.output, tile, options.force)
    return tile.shape, error


def _verdict(error: float | None, max_error: float) -> str:
    if error is None:
        return ""
    if error:
        return f", each sample within {max_error} of the original (largest error: {error})"
    return ", equal to the original"


def _check_one_standard_input(*paths: str | None) -> None:
    if paths.count(STANDARD) > 1:
        raise UsageError(f"{STANDARD}: expected standard input to stand for one file, found it twice")


def add_verify(commands) -> None:
    examples = """examples:
  lhic verify cube.lhic
  lhic verify cube.lhic cube.npy
"""
    summary = "decode a stream, check it, and write nothing"
    add = _command(commands, "verify", run_verify, summary, examples).add_argument
    add("input", metavar="IN.lhic", help="stream")
    add("original", metavar="ORIGINAL.npy", nargs="?", help="cube to compare with")
    _add(add, "--model", "--device", "--threads", "--quiet")


def run_verify(options: argparse.Namespace) -> None:
    _check_one_standard_input(options.input, options.original)
    with _open_stream(options) as stream:
        info = lhic.inspect(stream)
        with _progress_bar(math.prod(info["shape"]), options) as progress:
            keywords = {"model": options.model, "threads": options.threads, "progress": progress}
            error = lhic.verify(stream, options.original, options.device, **keywords)
    _tell(options, f"{options.input}: all checksums match{_verdict(error, info['max_error'])}")


# --- preview ----------------------------------------------------------------------------------------------------------


def add_preview(commands) -> None:
    examples = """examples:
  lhic preview cube.lhic look.png
  lhic preview cube.lhic look.png --bands 45,27,11
"""
    add = _command(commands, "preview", run_preview, "show three bands as a picture", examples).add_argument
    add("input", metavar="IN.lhic", help="stream")
    add("output", metavar="OUT.png", help="picture to write")
    defaults = "nearest to 640, 550 and 460 nm; without wavelengths, spread over the cube"
    add("--bands", metavar="R,G,B", help=f"counted from 0 (default: {defaults})")
    _add(add, "--model", "--device", "--threads", "--force", "--quiet")


def run_preview(options: argparse.Namespace) -> None:
    with needs("formats", "preview"):
        from imagecodecs import png_encode  # a large library that the other commands do without

    if Path(options.output).suffix.lower() not in (".png", ""):
        raise UsageError(
            f"{options.output}: expected a name that ends in .png, which is what is written, found another"
        )
    bands = None if options.bands is None else _three_numbers(options.bands)
    with _open_stream(options) as stream:
        check_not_input(options.output, stream.fileno(), *weights_files(options.model))
        n_samples = math.prod(lhic.inspect(stream)["shape"])
        with atomic_write(options.output, options.force) as file, _progress_bar(n_samples, options) as progress:
            keywords = {"model": options.model, "threads": options.threads, "progress": progress}
            found = lhic.preview(stream, bands, options.device, **keywords)
            file.write(png_encode(found.image))
    n_rows, n_columns = found.image.shape[:2]
    _tell(
        options,
        f"{options.output}: {n_columns} x {n_rows} pixels of bands {', '.join(map(str, found.bands))}; "
        f"read {found.bytes_read} of {found.stream_bytes} bytes ({found.bytes_read / found.stream_bytes:.1%}), "
        f"computed {found.samples_computed / found.n_samples:.1%} of the samples",
    )


def _three_numbers(text: str) -> list[int]:
    try:
        first, second, third = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--bands: expected three numbers such as 45,27,11, found {text!r}") from None
    return [first, second, third]


# --- explore ----------------------------------------------------------------------------------------------------------


def add_explore(commands) -> None:
    examples = """examples:
  lhic explore
  lhic explore scene.hdr
  lhic explore cube.npy --metadata bands.json
  lhic explore cube.lhic --port 8080 --no-browser
"""
    summary = "show cubes, and where the bits of codecs go, as a page in the browser"
    add = _command(commands, "explore", run_explore, summary, examples).add_argument
    add("files", metavar="FILE", nargs="*", help="cubes, or streams of lhic (default: the bundled EnMAP patch)")
    add("--metadata", metavar="FILE.json", help="wavelengths and nodata of a cube, as for 'lhic encode'")
    add("--port", type=int, default=0, metavar="N", help="of the page on this machine (default: a free one)")
    crop = "begin with so many rows and columns in the middle (default: all, or 128 of more than 256)"
    add("--crop", type=int, default=0, metavar="N", help=crop)
    add("--no-browser", action="store_true", help="only say where the page is")


def run_explore(options: argparse.Namespace) -> None:
    with needs("study", "explore"):
        from lhic.explore import cubes, server  # Panel, which the other commands do without

    if not 0 <= options.port < 1 << 16:
        raise UsageError(f"--port: expected 0..65535, found {options.port}")
    if options.crop < 0:
        raise UsageError(f"--crop: expected 0 or more, found {options.crop}")
    if options.metadata is not None and len(options.files) != 1:
        raise UsageError(f"--metadata: expected one FILE that it is of, found {len(options.files)}")
    sources = [cubes.of_file(path, _metadata_of(path, options.metadata)) for path in options.files]
    sources = sources or [cubes.of_item(item) for item in open_dataset("bundled")]
    page, address = server.start(sources, port=options.port, crop=options.crop)
    console.say(f"{address} shows {', '.join(source.name for source in sources)}; Ctrl-C ends")
    if not options.no_browser:
        webbrowser.open(address)
    try:
        page.io_loop.start()
    except KeyboardInterrupt:
        pass  # how it is meant to end


def _metadata_of(cube: str, path: str | None) -> dict | None:
    """Of a JSON file for a cube that does not say it itself."""
    if path is None:
        return None
    with open_cube(cube) as reader:
        return _read_metadata(path, reader.shape[0])


# --- info, models -----------------------------------------------------------------------------------------------------


def add_info(commands) -> None:
    examples = """examples:
  lhic info cube.lhic
  lhic info cube.lhic --json
"""
    add = _command(commands, "info", run_info, "say what a stream holds, without weights", examples).add_argument
    add("input", metavar="IN.lhic", help="stream")
    add("--json", action="store_true", help="everything, as one JSON object")


def run_info(options: argparse.Namespace) -> None:
    with _open_stream(options) as stream:
        info = lhic.inspect(stream)
        console.say(json.dumps(info, indent=1) if options.json else _description(info))
        expected, found = info["stream_bytes"], len(stream)
        if found != expected:
            kind = TruncatedStreamError if found < expected else CorruptStreamError
            raise kind(f"{stream.name}: expected {expected} bytes, found {found}")


def _description(info: dict) -> str:
    by_section = [sum(sizes) for sizes in zip(*info["tiles"], strict=True)]
    sections = ", ".join(f"{name} {n}" for name, n in zip(info["section_names"], by_section, strict=True))
    parameters = ", ".join(f"{key} {value}" for key, value in info["parameters"].items())
    lines = {
        "format": f"version {info['version']}",
        "cube": f"{info['dtype']} {tuple(info['shape'])}, bands x rows x columns",
        "model": f"{info['model']} ({info['family']}), weights {info['weights_sha256'][:16] or 'none'}",
        **({"values": values} if (values := _values(info["values"])) else {}),
        "parameters": parameters or "none",
        "loss": _loss(info["max_error"]),
        "tiles": f"{info['n_tiles']} of up to {info['tile_shape'][0]} x {info['tile_shape'][1]}, each with all bands",
        "bytes": f"{info['stream_bytes']}: header {info['header_bytes']}, {sections}",
        "rate": f"{info['bits_per_sample']:.4f} bits per sample",
        "metadata": ", ".join(info["metadata"]) or "none",
        **{f"  {message_of(key)}": _brief(value) for key, value in info["metadata"].items()},
        "auxiliary": f"{len(info['auxiliary'])} arrays" if info["auxiliary"] else "none",
    }
    told = [f"{key:<10} {message_of(value)}" for key, value in lines.items()]
    for one in info["auxiliary"]:
        told.append(f"  {message_of(one['name'])}  {one['dtype']} {tuple(one['shape'])}, {one['bytes']} bytes")
    return "\n".join(told)


def _brief(value: object, longest: int = 60) -> str:
    """A value on a line; of a long list its ends."""
    if isinstance(value, list) and len(value) > 4:
        return f"{value[0]}, {value[1]}, ... {value[-1]} ({len(value)})"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= longest else f"{text[:longest]} ..."


def _values(found: dict) -> str:
    """How samples that no model codes became integers; empty where they are some."""
    if not found:
        return ""
    steps = f", samples in steps of {' and '.join(found['steps'])}" if found["steps"] else ""
    apart = f", {found['bits kept apart']} bits a sample kept apart" if found["bits kept apart"] else ""
    special = f", {found['special samples']} special values" if found["special samples"] else ""
    return f"coded as {found['coded as']}{steps}{apart}{special}"


def add_models(commands) -> None:
    add = _command(commands, "models", run_models, "list the models found", "example:\n  lhic models\n").add_argument
    add("--json", action="store_true", help="as a JSON list, with paths and full hashes")


def run_models(options: argparse.Namespace) -> None:
    entries = lhic.list_models()
    if options.json:
        console.say(json.dumps([{**vars(entry), "path": str(entry.path)} for entry in entries], indent=1))
        return
    if not entries:
        raise UsageError("models: expected weights in ckpt/ or in a folder of LHIC_CKPT, found none")
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        default = "  (default)" if entry.name == DEFAULT_MODEL else ""
        size = f"{entry.file_bytes:>9} bytes"
        console.say(f"{entry.name:<{width}}  {entry.family}  {size}  sha256 {entry.sha256[:16]}{default}")


# --- compile ----------------------------------------------------------------------------------------------------------


def add_compile(commands) -> None:
    examples = """examples:
  lhic compile
  lhic compile --into kernels    # then LHIC_CACHE=kernels lhic encode ..., e.g. in a container image
"""
    summary = "compile the kernels for this processor, so that no later call has to"
    add = _command(commands, "compile", run_compile, summary, examples).add_argument
    add("--into", metavar="FOLDER", help="where to keep them (default: LHIC_CACHE, else the user's cache)")


def run_compile(options: argparse.Namespace) -> None:
    from lhic.kernels.jit import prepared_folder  # numba takes a second, which the other commands do without

    folder = prepared_folder(options.into)
    started, skipped = time.perf_counter(), []
    for entry in lhic.list_models():
        try:
            lhic.load_model(entry.path, "cpu").compile_kernels()
        except BackendError as error:  # a library that coding by other models does without
            skipped.append(f"{entry.name} left out: {error}")
    RawModel().compile_kernels()
    write_code(bytes(MIN_BYTES))  # the models above have imported numba, so this is compiled, too
    console.say(f"{folder}: all kernels, in {time.perf_counter() - started:.0f} s")
    for line in skipped:
        print(f"lhic: {line}", file=sys.stderr)


# --- train, import ----------------------------------------------------------------------------------------------------


def add_train(commands) -> None:
    examples = """examples:
  lhic train configs/lhic-bp-xs.yml
  lhic train configs/lhic-bp.yml --device cuda --out runs/full
A run that was stopped goes on where it was when the same command is given again.
"""
    add = _command(commands, "train", run_train, "train a model from a YAML configuration", examples).add_argument
    add("config", metavar="CONFIG", type=Path, help="YAML file, see configs/ and docs/training.md")
    add("--out", type=Path, metavar="DIR", help="run folder (default: runs/<name of the configuration>)")
    _add(add, "--device", "--quiet")


def run_train(options: argparse.Namespace) -> None:
    from lhic.train import run

    out = options.out or Path("runs") / options.config.stem
    run(options.config, device=options.device, out_dir=out, progress=not options.quiet)


def add_import(commands) -> None:
    examples = """example:
  lhic import-lhic-bp --config config.yml --msp msp_ckpt.pth --lsp lsp_ckpt.pth lhic-bp.safetensors
"""
    summary = "convert published LHIC-BP checkpoints"
    add = _command(commands, "import-lhic-bp", run_import, summary, examples).add_argument
    add("--config", type=Path, required=True, metavar="CONFIG.yml", help="published configuration")
    add("--msp", type=Path, required=True, metavar="MSP.pth", help="state dictionary, MSP network")
    add("--lsp", type=Path, required=True, metavar="LSP.pth", help="state dictionary, LSP network")
    add("output", metavar="OUT.safetensors", type=Path, help="weights file to write")
    _add(add, "--force")


def run_import(options: argparse.Namespace) -> None:
    with needs("train", "import-lhic-bp"):
        from lhic.families.bp.published import import_published

    files = options.config, options.msp, options.lsp, options.output
    _tell_weights(options, import_published(*files, overwrite=options.force))


def add_import_linerwkv(commands) -> None:
    examples = """example:
  lhic import-linerwkv rwkv-final.pth linerwkv-l.safetensors
"""
    summary = "convert a published LineRWKV checkpoint"
    add = _command(commands, "import-linerwkv", run_import_linerwkv, summary, examples).add_argument
    add("checkpoint", metavar="RWKV.pth", type=Path, help="state dictionary")
    add("output", metavar="OUT.safetensors", type=Path, help="weights file to write")
    _add(add, "--force")


def run_import_linerwkv(options: argparse.Namespace) -> None:
    with needs("bp", "import-linerwkv"):
        from lhic.families.linerwkv.published import import_linerwkv

    _tell_weights(options, import_linerwkv(options.checkpoint, options.output, overwrite=options.force))


def _tell_weights(options: argparse.Namespace, weights) -> None:
    _tell(
        options, f"{options.output}: {weights.name}, {len(weights.tensors)} tensors, sha256 {weights.sha256.hex()[:16]}"
    )


# --- what commands share ----------------------------------------------------------------------------------------------

SHARED_OPTIONS: dict[str, dict[str, Any]] = {
    "--model": {"metavar": "NAME|PATH", "help": "weights to use when they are not where 'lhic models' looks"},
    "--device": {
        "choices": DEVICES,
        "default": "auto",
        "help": "where to compute; auto, the default, is up to the model",
    },
    "--threads": {
        "type": int,
        "metavar": "N",
        "help": "how many may compute (default: LHIC_THREADS, else the cores there are)",
    },
    "--force": {"action": "store_true", "help": "replace the output if it exists"},
    "--quiet": {"action": "store_true", "help": "no progress bar"},
    "--out-dir": {
        "metavar": "DIR",
        "help": "where results of many files go; those done before are skipped, errors do not stop the others",
    },
    "--jobs": {"type": int, "default": 1, "metavar": "N", "help": "how many of many files at a time (default: 1)"},
    "--scheduler": {
        "metavar": "tcp://HOST:PORT",
        "help": "hand the files to the workers of a Dask cluster, which see them under the same paths",
    },
}


def _one_file(
    options: argparse.Namespace, is_input: Callable[[str], bool], is_one: Callable[[str], bool]
) -> tuple[str, str | None] | None:
    """Input and output of a command that is given one file; None if it is given many."""
    first, *more = options.paths
    whole_number(options.jobs, "--jobs", 1)
    if options.out_dir is not None:
        if not options.out_dir:
            raise UsageError("--out-dir: expected a folder, found no name")
        _check_folder(options.out_dir, "--out-dir: ")
    named_output = getattr(options, "output", None)
    if options.out_dir is not None and named_output is not None:
        raise UsageError("--out-dir: expected no name for the output beside it, found one")
    has_trees = any(os.path.isdir(path) and not is_one(path) for path in (options.paths if more[1:] else [first]))
    if options.out_dir is not None or len(more) > 1 or has_trees or options.scheduler is not None:
        if STANDARD in options.paths:
            raise UsageError(f"{options.name}: expected files and folders, found a pipe among them")
        return None
    if not more:
        return first, named_output
    if named_output is not None:
        raise UsageError(f"--output: expected one input with it, found {first} and {more[0]}")
    (second,) = more
    if os.path.isdir(second) and not is_one(second):
        raise UsageError(f"{second}: expected a name for the output, found a folder: --out-dir writes into it")
    # What was read before is not taken for an output: `lhic encode *.tif` may find two.
    is_file = second != STANDARD and os.path.exists(second) and stat.S_ISREG(os.stat(second).st_mode)
    is_other = is_file and first != STANDARD and not (os.path.exists(first) and os.path.samefile(first, second))
    return None if is_other and is_input(second) else (first, second)


def _check_folder(folder: str, where: str = "") -> None:
    """`UsageError` if it is none, or can be none because something else is in its place, or in that of one above it."""
    while folder and not os.path.isdir(folder):
        if os.path.lexists(folder):
            raise UsageError(f"{where}{folder}: expected a folder, found a file")
        folder = os.path.dirname(folder)


def _check_for_all(options: argparse.Namespace) -> None:
    """What would be wrong with every one of many files is told once, before any is begun."""
    is_encoding = options.command is run_encode
    if is_encoding and options.max_error and options.max_error_physical is not None:
        raise UsageError("--max-error-physical: expected no --max-error beside it, found one")
    if is_encoding and options.metadata is not None:
        if options.metadata == STANDARD:
            raise UsageError("--metadata: expected a file that many can read, found standard input")
        with open_source(options.metadata, "a JSON file") as source, named(source.name):
            _json(source)
    if options.scheduler is not None:  # models and devices are those of its workers
        if options.jobs > 1:
            raise UsageError("--jobs: expected none with --scheduler, whose workers say how many they do at a time")
        return
    work = Work(threads=n_threads(options.threads))
    if options.device == "cuda":
        resolve_device(options.device)
    if options.model is None:
        return
    model = load_model(options.model, "cpu")  # whatever the device: nothing is computed
    if is_encoding:
        if options.tile_shape is not None:
            model = model.with_tiles(*options.tile_shape)
        model.plan(np.zeros((1, 1, 1), np.uint16), work, **_given(options, *FAMILY_OPTIONS))


def _run_batch(
    options: argparse.Namespace,
    jobs: Sequence[batch.Job],
    lost: Sequence[batch.Outcome],
    work: Callable[[argparse.Namespace, batch.Job], batch.Outcome],
) -> None:
    """Do all jobs, go on after an error, and tell of all of them at the end.

    lost : what cannot be begun
    work : says "skipped" of what is there and fits

    Raises
    ------
    BatchError
        Some failed.
    """
    outcomes: list[batch.Outcome] = list(lost)
    waiting: list[batch.Job] = []
    for job in jobs:
        try:
            _make_folder(os.path.dirname(job.target))
            waiting.append(job)
        except (UsageError, OSError) as error:
            outcomes.append(batch.failed(job, error))
    n_failed, n_files = len(outcomes), len(jobs) + len(lost)
    with tqdm(total=n_files, initial=n_failed, desc=options.name, disable=options.quiet, unit="file") as bar:

        def tell(outcome: batch.Outcome) -> None:
            if outcome.error:
                bar.write(f"lhic: error: {message_of(outcome.error)}", file=sys.stderr)

        for outcome in outcomes:
            tell(outcome)
        with closing(_outcomes(options, waiting, work)) as running:
            for outcome in running:
                outcomes.append(outcome)
                bar.update()
                tell(outcome)
    order = {job: number for number, job in enumerate(jobs)}
    outcomes.sort(key=lambda outcome: order.get(outcome.job, -1))
    console.say(batch.table(outcomes))
    n_failed = sum(outcome.status == "failed" for outcome in outcomes)
    if n_failed:
        raise BatchError(f"{options.name}: {n_failed} of {n_files} files failed")


def _make_folder(folder: str) -> None:
    if folder:
        _check_folder(folder)
        os.makedirs(folder, exist_ok=True)


def _outcomes(
    options: argparse.Namespace,
    jobs: Sequence[batch.Job],
    work: Callable[[argparse.Namespace, batch.Job], batch.Outcome],
) -> Generator[batch.Outcome, None, None]:
    """What becomes of each job, by a cluster or by processes here, which share threads and memory."""
    shared, n_jobs = argparse.Namespace(**vars(options)), options.jobs
    shared.quiet = True
    if n_jobs > 1:
        shared.threads = max(n_threads(options.threads) // n_jobs, 1)
        shared.memory_budget = memory_budget() // n_jobs
    if options.scheduler is None:
        yield from batch.run(jobs, partial(work, shared), n_jobs)
    elif jobs:
        for name in ("model", "metadata"):  # workers are in folders of their own
            value = getattr(shared, name, None)
            if value is not None and os.path.isfile(value):
                setattr(shared, name, os.path.abspath(value))
        yield from cluster.run(options.scheduler, jobs, work, shared)


def _of_job(options: argparse.Namespace, job: batch.Job) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), "input": job.source, "output": job.target})


def _command(commands, name: str, function: Callable, summary: str, examples: str) -> argparse.ArgumentParser:
    description = summary[0].upper() + summary[1:] + "."
    form = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(name, help=summary, description=description, epilog=examples, formatter_class=form)
    parser.set_defaults(command=function, name=name)
    return parser


def _add(add: Callable, *names: str) -> None:
    for name in names:
        add(name, **SHARED_OPTIONS[name])


def _open_stream(options: argparse.Namespace) -> Source:
    return open_source(options.input, "an lhic stream")


@contextmanager
def _progress_bar(n_samples: int, options: argparse.Namespace) -> Iterator[Callable[[int], object]]:
    """Progress bar over samples on stderr; yields the function that advances it."""
    if options.quiet:
        yield silent  # without tqdm, which leaves semaphores of the system to processes that are ended
        return
    looks = {"unit": "S", "unit_scale": True, "delay": BAR_DELAY_S}
    with tqdm(total=n_samples, desc=options.name, file=sys.stderr, **looks) as bar:
        yield bar.update


def _tell(options: argparse.Namespace, result: str) -> None:
    """Say the result where it does not run into the output."""
    console.say(message_of(result), sys.stderr if getattr(options, "output", None) == STANDARD else sys.stdout)
