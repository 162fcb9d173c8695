"""The study's notebooks: scripts and their paired ``.ipynb`` files, execution.

The ``py:percent`` script is the source; the ``.ipynb`` is made from it, without outputs, so that a change is
a readable diff.  What parameters may be is known to `parameters`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jupytext
import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from benchmarks.measure.provenance import REPOSITORY
from benchmarks.study.parameters import FOLDER, check_parameters
from lhic.errors import ConfigError, LhicError

METADATA = {
    "jupytext": {"formats": "ipynb,py:percent"},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class NotebookError(LhicError):
    """A cell of a notebook raised an error."""


def scripts() -> list[Path]:
    """The scripts in the order of the study."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def all_scripts() -> list[Path]:
    """Those of the study and the interactive ones."""
    return sorted(FOLDER.glob("*.py"))


def sync(check: bool = False) -> list[Path]:
    """Write each script's ``.ipynb``; returns those that differed.

    Parameters
    ----------
    check : write nothing, raise `ConfigError` if any differs
    """
    differing = []
    for script in all_scripts():
        target, text = script.with_suffix(".ipynb"), paired_text(script)
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            differing.append(target)
            if not check:
                target.write_text(text, encoding="utf-8")
    if check and differing:
        names = ", ".join(path.name for path in differing)
        raise ConfigError(f"notebooks: expected the .ipynb files to match their scripts, found {names} out of date")
    return differing


def paired_text(script: Path) -> str:
    """Text of the ``.ipynb`` that belongs to a script: no outputs, cells numbered in order."""
    notebook = jupytext.read(script, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.validate(notebook)
    return nbformat.writes(notebook, indent=1) + "\n"


def execute(script: Path, target: Path, parameters: dict, progress: bool = True) -> None:
    """Run a notebook with parameters in a kernel of its own and store the executed copy as `target`.

    Raises
    ------
    ConfigError
        As `parameters.check_parameters`.
    NotebookError
        A cell raised; the executed copy shows where.
    """
    check_parameters(script, parameters)
    target.parent.mkdir(parents=True, exist_ok=True)
    source = target.with_suffix(".input.ipynb")
    source.write_text(paired_text(script), encoding="utf-8")
    try:
        with _this_checkout_first():
            papermill.execute_notebook(
                str(source),
                str(target),
                parameters=parameters,
                cwd=str(FOLDER),
                kernel_name="python3",
                progress_bar=progress,
                extra_arguments=["--log-level=ERROR"],  # of the kernel: it warns that it talks over local TCP
            )
    except PapermillExecutionError as error:
        raise NotebookError(f"{script.stem}: cell {error.exec_count}: {error.ename}: {error.evalue}") from error
    finally:
        source.unlink(missing_ok=True)
        _forget_paths(target)


@contextmanager
def _this_checkout_first() -> Iterator[None]:
    """Let kernels, which take over our environment, import the modules of this checkout, whichever one is installed."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _forget_paths(target: Path) -> None:
    """Executed copies are published: where they were executed is nobody's business."""
    if target.exists():
        notebook = nbformat.read(target, as_version=4)
        for key in ("input_path", "output_path"):
            notebook.metadata.get("papermill", {}).pop(key, None)
        nbformat.write(notebook, target)
