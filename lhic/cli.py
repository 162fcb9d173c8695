"""The command line: ``lhic encode | decode | preview | info | models | train | import-lhic-bp``.

A thin wrapper: it reads and writes files, shows progress on stderr and turns errors into one line and an exit code
(2 for usage, 1 for data).  Results go to stdout.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

import lhic
from lhic.comparison import Comparison, check_comparable
from lhic.errors import InvalidCubeError, LhicError, UsageError, message_of, named
from lhic.extras import needs
from lhic.families.registry import DEFAULT_MODEL, DEVICES
from lhic.io.atomic import atomic_write
from lhic.io.npy import CubeReader
from lhic.io.source import open_source
from lhic.stream.header import read_index

EXIT_DATA = 1
EXIT_INTERRUPTED = 130
BAR_DELAY_S = 2.0  # what is done, or fails, in less time shows no progress bar


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = build_parser().parse_args(arguments)
    try:
        options.command(options)
    except LhicError as error:
        return _complain(error, error.exit_code)
    except OSError as error:
        return _complain(f"{error.filename or 'file'}: {error.strerror or error}", EXIT_DATA)
    except MemoryError:
        return _complain(
            "expected enough memory for a batch of tiles, found too little; set LHIC_MEMORY_BUDGET", EXIT_DATA
        )
    except KeyboardInterrupt:
        return _complain("interrupted; nothing was written", EXIT_INTERRUPTED)
    return 0


def _complain(message: object, exit_code: int) -> int:
    print(f"lhic: error: {message_of(message)}", file=sys.stderr)
    return exit_code


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lhic",
        description="Lossless compression of hyperspectral cubes.",
        epilog="Exit codes: 0 done, 1 bad data, 2 bad usage, 130 interrupted. Examples: 'lhic COMMAND --help'.",
    )
    parser.add_argument("--version", action="version", version=f"lhic {lhic.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    encode = _add(commands, "encode", run_encode, "compress a .npy cube", ENCODE_EXAMPLES)
    encode.add_argument("input", metavar="IN.npy", type=Path, help="integer array (bands, rows, columns)")
    encode.add_argument("output", metavar="OUT.lhic", type=Path, help="stream to write")
    _add_model(
        encode, f"one that 'lhic models' lists, or a .safetensors file (default: {DEFAULT_MODEL})", DEFAULT_MODEL
    )
    _add_device(encode)
    encode.add_argument(
        "--param-d", type=int, metavar="D", help="bits in the lower of a sample's two parts (default: 8)"
    )
    encode.add_argument(
        "--max-error", type=int, default=0, metavar="E", help="let samples change by up to E (default: 0, lossless)"
    )
    encode.add_argument(
        "--tuning-steps",
        type=int,
        metavar="N",
        help="fit the network of lhic-ax to the cube by N steps, e.g. 300, and send what changed, where that pays "
        "(default: up to the model; decoding takes no longer)",
    )
    encode.add_argument(
        "--metadata", type=Path, metavar="FILE.json", help="wavelengths, fwhm, nodata, crs, ... to store"
    )
    _add_quiet(encode)

    decode = _add(commands, "decode", run_decode, "restore the .npy cube", DECODE_EXAMPLES)
    decode.add_argument("input", metavar="IN.lhic", type=Path, help="stream")
    decode.add_argument("output", metavar="OUT.npy", type=Path, help="cube to write")
    _add_model(decode, "weights to use when they are not where 'lhic models' looks", None)
    _add_device(decode)
    decode.add_argument(
        "--verify", type=Path, metavar="ORIGINAL.npy", help="compare; on a difference, fail and write nothing"
    )
    decode.add_argument("--tile", type=int, metavar="N", help="decode this tile alone; tiles count from 0, row by row")
    _add_quiet(decode)

    preview = _add(commands, "preview", run_preview, "show three bands as a picture", PREVIEW_EXAMPLES)
    preview.add_argument("input", metavar="IN.lhic", type=Path, help="stream")
    preview.add_argument("output", metavar="OUT.png", type=Path, help="picture to write")
    preview.add_argument(
        "--bands",
        metavar="R,G,B",
        help="counted from 0 (default: nearest to 640, 550 and 460 nm; without wavelengths, spread over the cube)",
    )
    _add_model(preview, "weights to use when they are not where 'lhic models' looks", None)
    _add_device(preview)
    _add_quiet(preview)

    info = _add(commands, "info", run_info, "say what a stream holds, without weights", INFO_EXAMPLES)
    info.add_argument("input", metavar="IN.lhic", type=Path, help="stream")
    info.add_argument("--json", action="store_true", help="everything, as one JSON object")

    models = _add(commands, "models", run_models, "list the models found", "example:\n  lhic models\n")
    models.add_argument("--json", action="store_true", help="as a JSON list, with paths and full hashes")

    train = _add(commands, "train", run_train, "train a model from a YAML configuration", TRAIN_EXAMPLES)
    train.add_argument("config", metavar="CONFIG", type=Path, help="YAML file, see configs/ and docs/training.md")
    train.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: runs/<name of the configuration>)")
    _add_device(train)
    _add_quiet(train)

    importer = _add(commands, "import-lhic-bp", run_import, "convert published LHIC-BP checkpoints", IMPORT_EXAMPLES)
    importer.add_argument("--config", type=Path, required=True, metavar="CONFIG.yml", help="published configuration")
    importer.add_argument("--msp", type=Path, required=True, metavar="MSP.pth", help="state dictionary, MSP network")
    importer.add_argument("--lsp", type=Path, required=True, metavar="LSP.pth", help="state dictionary, LSP network")
    importer.add_argument("output", metavar="OUT.safetensors", type=Path, help="weights file to write")
    return parser


ENCODE_EXAMPLES = """examples:
  lhic encode cube.npy cube.lhic
  lhic encode cube.npy cube.lhic --model lhic-bp-xs --param-d 8 --device cpu
  lhic encode cube.npy cube.lhic --metadata bands.json
  lhic encode cube.npy cube.lhic --max-error 2
  lhic encode cube.npy cube.lhic --tuning-steps 300
"""
DECODE_EXAMPLES = """examples:
  lhic decode cube.lhic again.npy
  lhic decode cube.lhic again.npy --verify cube.npy
  lhic decode cube.lhic corner.npy --tile 0
"""
PREVIEW_EXAMPLES = """examples:
  lhic preview cube.lhic look.png
  lhic preview cube.lhic look.png --bands 45,27,11
"""
INFO_EXAMPLES = """examples:
  lhic info cube.lhic
  lhic info cube.lhic --json
"""
TRAIN_EXAMPLES = """examples:
  lhic train configs/lhic-bp-xs.yml
  lhic train configs/lhic-bp.yml --device cuda --out runs/full
A run that was stopped goes on where it was when the same command is given again.
"""
IMPORT_EXAMPLES = """example:
  lhic import-lhic-bp --config config.yml --msp msp_ckpt.pth --lsp lsp_ckpt.pth lhic-bp.safetensors
"""


def _add(commands, name: str, function, summary: str, examples: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=function)
    return parser


def _add_model(parser: argparse.ArgumentParser, text: str, default: str | None) -> None:
    parser.add_argument("--model", metavar="NAME|PATH", default=default, help=text)


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", choices=DEVICES, default="auto", help="where to compute; auto, the default, is up to the model"
    )


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


@contextmanager
def _progress_bar(n_samples: int, title: str, quiet: bool):
    """Progress bar over samples on stderr; yields the function that advances it."""
    looks = {"unit": "S", "unit_scale": True, "delay": BAR_DELAY_S}
    with tqdm(total=n_samples, desc=title, disable=quiet, file=sys.stderr, **looks) as bar:
        yield bar.update


def run_encode(options: argparse.Namespace) -> None:
    with CubeReader(options.input) as cube:  # tells a bad cube first
        n_samples, n_bytes = cube.size, cube.nbytes
    metadata = _read_json(options.metadata) if options.metadata else None
    wanted = {"param_d": options.param_d, "tuning_steps": options.tuning_steps}
    extra = {name: value for name, value in wanted.items() if value is not None}
    if options.max_error:  # 0 is what every family does
        extra["max_error"] = options.max_error
    with _progress_bar(n_samples, "encode", options.quiet) as progress:
        keywords = {"metadata": metadata, "progress": progress, **extra}
        found = lhic.encode_file(options.input, options.output, options.model, options.device, **keywords)
    print(
        f"{options.output}: {found['stream_bytes']} bytes, {found['bits_per_sample']:.4f} bits per sample, "
        f"{n_bytes / found['stream_bytes']:.2f} times smaller, {_loss(found['max_error'])}"
    )


def _loss(max_error: int) -> str:
    return f"near-lossless, |error| <= {max_error}" if max_error else "lossless"


def run_decode(options: argparse.Namespace) -> None:
    with open_source(options.input) as stream, named(options.input):
        header, max_error = read_index(stream).header, lhic.inspect(stream)["max_error"]
    if options.tile is not None:
        _decode_tile(options, max_error)
        return
    keywords = {"model": options.model, "verify": options.verify}
    with _progress_bar(header.n_samples, "decode", options.quiet) as progress:
        error = lhic.decode_file(options.input, options.output, options.device, progress=progress, **keywords)
    print(f"{options.output}: {header.dtype} {header.shape}{_verdict(error, max_error)}")


def _decode_tile(options: argparse.Namespace, max_error: int) -> None:
    with open_source(options.input) as stream, named(options.input):
        tile, error = lhic.decode_tile(stream, options.tile, options.device, model=options.model), None
        if options.verify:
            header = read_index(stream).header
            with CubeReader(options.verify) as original:
                check_comparable(original, header.shape, header.dtype, original.path)
                comparison = Comparison(original, original.path, max_error)
                comparison[header.grid[options.tile].window] = tile
                error = comparison.verdict()
        lhic.save_cube(options.output, tile)
    print(f"{options.output}: {tile.dtype} {tile.shape}{_verdict(error, max_error)}")


def _verdict(error: int | None, max_error: int) -> str:
    if error is None:
        return ""
    if error:
        return f", each sample within {max_error} of the original (largest error: {error})"
    return ", equal to the original"


def run_preview(options: argparse.Namespace) -> None:
    with needs("formats", "preview"):
        from imagecodecs import png_encode  # a large library that the other commands do without

    bands = None if options.bands is None else _three_numbers(options.bands)
    with atomic_write(options.output) as file, named(options.input):
        with (
            open_source(options.input) as stream,
            _progress_bar(read_index(stream).header.n_samples, "preview", options.quiet) as progress,
        ):
            found = lhic.preview(stream, bands, options.device, model=options.model, progress=progress)
        file.write(png_encode(found.image))
    n_rows, n_columns = found.image.shape[:2]
    print(
        f"{options.output}: {n_columns} x {n_rows} pixels of bands {', '.join(map(str, found.bands))}; "
        f"read {found.bytes_read} of {found.stream_bytes} bytes ({found.bytes_read / found.stream_bytes:.1%}), "
        f"computed {found.samples_computed / found.n_samples:.1%} of the samples"
    )


def _three_numbers(text: str) -> list[int]:
    try:
        first, second, third = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--bands: expected three numbers such as 45,27,11, found {text!r}") from None
    return [first, second, third]


def run_info(options: argparse.Namespace) -> None:
    with open_source(options.input) as stream, named(options.input):
        info, n_bytes = lhic.inspect(stream), len(stream)
    if options.json:
        print(json.dumps(info, indent=1))
        return
    by_section = [sum(sizes) for sizes in zip(*info["tiles"], strict=True)]
    sections = ", ".join(f"{name} {n}" for name, n in zip(info["section_names"], by_section, strict=True))
    parameters = ", ".join(f"{key} {value}" for key, value in info["parameters"].items())
    lines = {
        "format": f"version {info['version']}",
        "cube": f"{info['dtype']} {tuple(info['shape'])}, bands x rows x columns",
        "model": f"{info['model']} ({info['family']}), weights {info['weights_sha256'][:16] or 'none'}",
        "parameters": parameters or "none",
        "loss": _loss(info["max_error"]),
        "tiles": f"{info['n_tiles']} of up to {info['tile_shape'][0]} x {info['tile_shape'][1]}, each with all bands",
        "bytes": f"{info['stream_bytes']}: header {info['header_bytes']}, {sections}",
        "rate": f"{info['bits_per_sample']:.4f} bits per sample",
        "metadata": ", ".join(info["metadata"]) or "none",
    }
    if not info["complete"]:
        lines["warning"] = f"the file has {n_bytes} bytes, not {info['stream_bytes']}"
    for key, value in lines.items():
        print(f"{key:<11}{value}")


def run_models(options: argparse.Namespace) -> None:
    entries = lhic.list_models()
    if options.json:
        print(json.dumps([{**vars(entry), "path": str(entry.path)} for entry in entries], indent=1))
        return
    if not entries:
        raise UsageError("models: expected weights in ckpt/ or in a folder of LHIC_CKPT, found none")
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        default = "  (default)" if entry.name == DEFAULT_MODEL else ""
        print(
            f"{entry.name:<{width}}  {entry.family}  {entry.file_bytes:>9} bytes  sha256 {entry.sha256[:16]}{default}"
        )


def run_train(options: argparse.Namespace) -> None:
    from lhic.train import run

    out = options.out or Path("runs") / options.config.stem
    run(options.config, device=options.device, out_dir=out, progress=not options.quiet)


def run_import(options: argparse.Namespace) -> None:
    with needs("train", "import-lhic-bp"):
        from lhic.families.bp.published import import_published

    weights = import_published(options.config, options.msp, options.lsp, options.output)
    print(f"{options.output}: {weights.name}, {len(weights.tensors)} tensors, sha256 {weights.sha256.hex()[:16]}")


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise UsageError(f"{path}: expected a JSON file, found nothing there") from None
    except ValueError as error:
        raise InvalidCubeError(f"{path}: expected JSON, found otherwise ({error})") from error


if __name__ == "__main__":
    sys.exit(main())
