"""What one can do here: ``invoke --list``.  Each task is a docstring and a call."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

import invoke
from invoke import Exit, ParseError, Parser

PYTHON = shlex.quote(sys.executable)
SOURCES = "lhic benchmarks contrib docs/conf.py tests tasks.py bootstrap.py"


def _parse(parser, argv, parse=Parser.parse_argv):
    """Command lines that invoke does not understand are bad usage, exit code 2; it would exit with 1.

    And ``-h`` right behind a task shows its help, also where invoke takes it for the task's first argument.
    """
    if argv[1:2] in (["-h"], ["--help"]) and argv[0] in parser.contexts:
        argv = [argv[0], *("any" for _ in parser.contexts[argv[0]].positional_args), "--help"]
    try:
        return parse(parser, argv)
    except ParseError as error:
        raise Exit(f"error: {error}", 2) from error


Parser.parse_argv = functools.partialmethod(_parse)


def task(function: Callable | None = None, **options):
    """An invoke task whose errors of lhic are one line and their exit code; options have no short forms but -h."""
    if function is None:
        return functools.partial(task, **options)

    @functools.wraps(function)
    def told(*arguments, **keywords):
        try:
            function(*arguments, **keywords)
        except KeyboardInterrupt as error:
            raise Exit(f"stopped: {error}" if str(error) else "stopped", 130) from error
        except Exception as error:
            from lhic.errors import LhicError

            if not isinstance(error, LhicError):
                raise
            raise Exit(f"error: {error}", error.exit_code) from error

    return invoke.task(told, auto_shortflags=False, **options)


@task
def setup(context):
    """Create the environment in .venv and install the pinned dependencies and this project into it."""
    import bootstrap

    bootstrap.install()


@task
def lint(context):
    """Check style and formatting of all Python sources, the types of `lhic`, and who may import what."""
    context.run(f"{PYTHON} -m ruff check {SOURCES}")
    context.run(f"{PYTHON} -m ruff format --check --quiet {SOURCES}")
    context.run(f"{PYTHON} -m mypy")
    context.run(f"{shlex.quote(str(Path(sys.executable).with_name('lint-imports')))} --no-logo")


@task(help={"fast": "leave out the tests marked slow", "k": "only tests whose name matches"})
def test(context, fast=False, k=""):
    """Run the test suite; tests that need a GPU or the shared data say so when they skip."""
    marker = "-m 'not slow'" if fast else ""
    name = f"-k {shlex.quote(k)}" if k else ""
    # A file of tests stays with one process, as its fixtures do; more processes than four only fight for memory.
    processes = f"-n {min(os.cpu_count() or 1, 4)} --dist loadfile" if not k else ""
    context.run(f"{PYTHON} -m pytest --durations 15 {processes} {marker} {name}", pty=sys.stdout.isatty())


@task(help={"open": "show it in the browser", "folder": "where it goes"})
def site(context, open=False, folder="build/site"):
    """Build the site from docs/ (needs the extra `docs`); every warning is an error."""
    # A new folder each time: leftovers of an earlier build would be served along.
    shutil.rmtree(folder, ignore_errors=True)
    context.run(f"{PYTHON} -m sphinx -W --keep-going -q -b html docs {shlex.quote(folder)}")
    if open:
        webbrowser.open((Path(folder) / "index.html").resolve().as_uri())


@task(name="test-gpu")
def test_gpu(context):
    """Run the tests that need a CUDA device."""
    context.run(f"{PYTHON} -m pytest -m gpu", pty=sys.stdout.isatty())


@task(help={"suite": "lhic-bp or ccsds123", "folder": "folder that holds the vectors; default: this one"})
def conformance(context, suite="", folder="."):
    """Run every conformance vector found in a folder; exit 1 if one differs."""
    from benchmarks.measure.conformance import run_suite

    run_suite(suite, Path(folder))


@task
def golden(context):
    """Write golden streams that do not exist yet; existing ones are never touched."""
    from tests.golden.make import write_missing

    write_missing()


@task(
    help={
        "root": "hyspecnet-11k folder; default: this one",
        "clip": "write int32 cubes clipped to [0, 10000], as the literature uses them; default: int16 as measured",
        "check": "convert nothing, compare patches, tiles and splits with the documented numbers",
    }
)
def data(context, root=".", clip=False, check=False):
    """Convert the TIFs of a HySpecNet-11k folder to 202-band cubes, or check that it is complete."""
    from lhic.data.hyspecnet import check_complete, convert_root

    if check:
        counts = check_complete(Path(root))
        print("\n".join(f"{name:<12}{count}" for name, count in counts.items()))
    else:
        written = convert_root(Path(root), clip=clip)
        print(f"{len(written)} cubes written")


@task(help={"config": "YAML, see configs/", "device": "auto, cpu or cuda"})
def train(context, config="configs/lhic-ax.yml", device="auto"):
    """Train a model; a run that was stopped goes on where it was."""
    from lhic.train import run

    print(run(config, device).weights_path)


@task(
    name="train-presets",
    help={"preset": "name of one, repeatable; default: all that are shipped, and their twins that end in -unseen"},
    iterable=["preset"],
)
def train_presets(context, preset=None):
    """Train the shipped weights of lhic-ax anew, into ckpt/ with curves and tables; well over half an hour."""
    from benchmarks.experiments.presets import train_presets

    print("\n".join(str(path) for path in train_presets(list(preset or ()))))


@task(
    help={
        "name": "cross-validation, ablations, copies, noise-floor, floats, windows, large-scene, speeds, threads, "
        "linerwkv, bit-planes, spectral-transform, published-size or published-size-whole",
        "out": "folder below results/; default: local/<name>",
    }
)
def experiment(context, name, out=""):
    """Train lhic-ax without some scene, sensor or part of it; or measure floats, windows, a large scene, LineRWKV."""
    from benchmarks.experiments import run_experiment

    run_experiment(name, out)


@task(
    help={
        "profile": "small (bundled patch), medium (folder of cubes) or full (HySpecNet-11k test split)",
        "dataset": "bundled, corpus or hyspecnet-11k; default: the profile's",
        "root": "the dataset's folder; default: the profile's",
        "parameter": "NAME=VALUE for the notebooks, repeatable",
        "commit_to": "replace the committed results of this folder, e.g. results/small",
        "open": "open the report in a browser at the end",
    },
    iterable=["parameter"],
)
def study(context, profile="small", dataset="", root="", parameter=None, commit_to="", open=False):
    """Run the study's notebooks, print the main table and name the report; files go to results/local/<profile>/."""
    from benchmarks.study.study import run_study

    overrides = _pairs(parameter or ())
    report = run_study(profile, dataset or None, root or None, overrides, commit_to or None)
    _open_if(open, report)


@task(
    help={
        "codecs": "names in the registry, or module:callable, separated by commas",
        "dataset": "bundled, corpus, hyspecnet-11k, or a kind that another package offers",
        "split": "part of hyspecnet-11k: hard/test, easy/train, ...",
        "root": "the dataset's folder",
        "form": "as-measured, or clipped to [0, 10000]",
        "limit": "only so many cubes, the same random ones every time; a larger limit adds to them; 0: all",
        "scheduler": "address of a running Dask scheduler, tcp://host:8786; its workers must see the dataset",
        "workers": "worker processes to start here; 0: one for each core",
        "device": "auto, cpu or cuda; codecs that can use a GPU run on workers with the resource GPU",
        "threads": "one, all or both: threads of a measurement",
        "repeats": "timings behind each median, for codecs whose first pass takes less than --long-s",
        "long_s": "0, the default: the first pass after loading and compiling is the timing",
        "timeout_s": "a measurement is given up after so many seconds",
        "out": "folder of the results; default: results/local/bench/<dataset>",
        "list_codecs": "name the codecs of the registry, and measure nothing",
    }
)
def bench(
    context,
    codecs="",
    dataset="bundled",
    split="",
    root="",
    form="as-measured",
    limit="0",
    scheduler="",
    workers="0",
    device="auto",
    threads="one",
    repeats="1",
    long_s="0",
    timeout_s="3600",
    out="",
    list_codecs=False,
):
    """Measure codecs on many cubes with Dask workers; a run that was killed goes on where it stopped."""
    from benchmarks.study import bench

    if list_codecs:
        bench.list_codecs()
        return
    timing = {"repeats": _whole("repeats", repeats), "device": device}
    timing |= {"long_s": _real("long-s", long_s), "timeout_s": _real("timeout-s", timeout_s)}
    what = {"root": root or None, "split": split or None, "form": form, "limit": _whole("limit", limit) or None}
    where = {"scheduler": scheduler or None, "n_workers": _whole("workers", workers) or None, "out": out or None}
    bench.run_bench(dataset, codecs, threads, timing, what, where)


@task(
    name="bench-gpu",
    help={
        "model": "weights of lhic-ax: a name or a path",
        "batches": "tiles coded at once, separated by commas",
        "passes": "timings behind each median",
    },
)
def bench_gpu(context, model="lhic-ax", batches="1,4,16,64", passes="5"):
    """Measure lhic-ax on the CUDA device, batches of the bundled patch; rows go to results/gpu/."""
    from benchmarks.measure.gpu import bench_gpu

    sizes = [_whole("batches", size) for size in batches.split(",")]
    table = bench_gpu(model, sizes, _whole("passes", passes))
    print(table.to_string(index=False))


@task(name="bench-explorer", help={"repeats": "times behind each median"})
def bench_explorer(context, repeats="21"):
    """Measure how fast the explorer answers in this machine's Chromium; rows go to results/explorer/."""
    from benchmarks.study.explorer_speed import bench_explorer

    print(bench_explorer(_whole("repeats", repeats)).iloc[:, :4].to_string(index=False, float_format="%.0f"))


@task(help={"profile": "folder of results/ to report on", "open": "open the report in a browser"})
def report(context, profile="local/small", open=False):
    """Collect a study's tables and figures into one page, which needs no other file."""
    from benchmarks.measure.provenance import shown
    from benchmarks.study.report import build

    page = build(profile)
    print(f"Report: {shown(page)}")
    _open_if(open, page)


@task(
    name="verify-results",
    help={
        "profile": "folder of results/ whose rows are measured again",
        "sample": "number of rows",
        "seed": "another seed draws other rows",
        "root": "the dataset's folder; default: the one that environment.json names",
        "max_s": "draw only among rows that took at most so many seconds to encode and decode; 0: all",
        "codecs": "draw only among rows of these, separated by commas; default: all",
    },
)
def verify_results(context, profile="small", sample="10", seed="0", root="", max_s="10", codecs=""):
    """Measure a random sample of committed rows again; exit 1 if one that should hold here does not."""
    from benchmarks.measure.verify import verify_results

    n_rows, seed, max_s = _whole("sample", sample), _whole("seed", seed), _real("max-s", max_s) or None
    names = [name for name in codecs.split(",") if name]
    verify_results(profile, n_rows, seed, root or None, max_s, names)


@task(
    help={
        "profile": "folder of results/ that is packed",
        "into": "file, e.g. small-on-epyc.parquet",
        "force": "replace the file",
    }
)
def collect(context, profile="local/small", into="", force=False):
    """Pack the rows of a results folder, with machine, versions and commit, into one file for `merge`."""
    from benchmarks.measure.collection import collect
    from benchmarks.measure.provenance import REPOSITORY

    n_rows = collect(REPOSITORY / "results" / profile, _target("collect", into), force)
    print(f"{into}: {n_rows} rows")


@task(
    name="collect-enb",
    help={
        "experiment": "CSV of an experiment of enb, persistence_LosslessCompressionExperiment.csv say",
        "images": "CSV of the properties of its images; default: persistence_ImagePropertiesTable.csv beside it",
        "root": "folder from which that CSV names the images; with it, rows get the hash of the samples",
        "into": "file, e.g. enb-on-epyc.parquet",
        "force": "replace the file",
    },
)
def collect_enb(context, experiment="", images="", root="", into="", force=False):
    """Turn what enb has measured on this machine into rows, in one file for `merge`."""
    from benchmarks.measure.enb_rows import collect_enb

    if not experiment:
        raise Exit("error: collect-enb: expected --experiment FILE, found none", 2)
    where = {"images": Path(images) if images else None, "root": Path(root) if root else None}
    n_rows = collect_enb(Path(experiment), _target("collect-enb", into), **where, overwrite=force)
    print(f"{into}: {n_rows} rows")


@task(
    help={
        "file": "written by collect, collect-enb or merge; repeatable",
        "into": "file that gets all rows",
        "force": "replace that file",
    },
    iterable=["file"],
)
def merge(context, file=None, into="", force=False):
    """Join the results of several machines; exit 1 if they contradict each other. Speeds stay those of a machine."""
    from benchmarks.study.machines import merge

    merge([Path(path) for path in file or ()], _target("merge", into), force)


@task(help={"check": "only say whether the stored notebooks are up to date"})
def notebooks(context, check=False):
    """Write the .ipynb files, without outputs, from their paired .py scripts."""
    from benchmarks.study.notebooks import sync

    sync(check=check)


@task(help={"check": "only say whether they are up to date"})
def documents(context, check=False):
    """Copy the tables of results/ into the documents that show them."""
    from benchmarks.exhibits.documents import update

    update(check=check)


@task
def clean(context):
    """Remove caches and build products; results, runs and the environment stay."""
    root = Path(__file__).parent
    for pattern in (
        "build",
        "dist",
        ".pytest_cache",
        ".ruff_cache",
        ".mypy_cache",
        ".import_linter_cache",
        ".hypothesis",
    ):
        shutil.rmtree(root / pattern, ignore_errors=True)
    for top in ("lhic", "benchmarks", "tests"):
        for cache in (root / top).rglob("__pycache__"):
            shutil.rmtree(cache)


def _target(name: str, into: str) -> Path:
    if not into:
        raise Exit(f"error: {name}: expected --into FILE, found none", 2)
    return Path(into)


def _open_if(wanted: bool, page: Path) -> None:
    if wanted and not webbrowser.open(page.as_uri()):
        print("--open: expected a browser, found none here")


def _pairs(assignments) -> dict[str, str]:
    pairs = dict(assignment.partition("=")[::2] for assignment in assignments)
    if any("=" not in assignment for assignment in assignments):
        raise Exit("--parameter: expected NAME=VALUE", 2)
    return pairs


# Defaults of numbers are texts, because invoke answers a text for a number with a traceback.
def _whole(name: str, text: str) -> int:
    return _number(name, text, int, "a whole number")


def _real(name: str, text: str) -> float:
    return _number(name, text, float, "a number")


def _number(name: str, text: str, kind: type, expected: str):
    try:
        return kind(text)
    except ValueError as error:
        raise Exit(f"error: --{name}: expected {expected}, found {text!r}", 2) from error
