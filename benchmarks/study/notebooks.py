"""The study's notebooks: scripts and their paired ``.ipynb`` files, execution.

The ``py:percent`` script is the source; jupytext makes the ``.ipynb`` from it (``notebooks/jupytext.toml``), without
outputs, so that a change is a readable diff.  What parameters may be is known to `parameters`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jupytext
import nbformat
import papermill
from jupytext.config import load_jupytext_config
from papermill.exceptions import PapermillExecutionError

from benchmarks.measure.files import write_file
from benchmarks.measure.provenance import REPOSITORY
from benchmarks.study.parameters import FOLDER, check_parameters, notebooks_of
from lhic.errors import ConfigError, LhicError

METADATA = {
    "jupytext": {"formats": "ipynb,py:percent"},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class NotebookError(LhicError):
    """A cell of a notebook raised an error."""


def sync(check: bool = False) -> list[Path]:
    """Write each script's ``.ipynb``, without outputs; returns those that were written.

    Parameters
    ----------
    check : write nothing, raise `ConfigError` for those whose cells are not those of their scripts; outputs, and what
        JupyterLab notes in a notebook that it saves, do not count
    """
    if check:
        behind = [path.name for path in notebooks_of("*") if not path.exists() or _differs(path)]
        if behind:
            raise ConfigError(f"notebooks: expected the cells of their scripts, found others in {', '.join(behind)}")
        return []
    texts = {path: nbformat.writes(_paired(path), indent=1) + "\n" for path in notebooks_of("*")}
    changed = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in changed:
        write_file(path, texts[path])
    return changed


def _differs(path: Path) -> bool:
    """Whether jupytext would write another script for a notebook, as it does when JupyterLab saves one."""
    settings = load_jupytext_config(str(REPOSITORY / "notebooks" / path.name))
    script = path.with_suffix(".py").read_text(encoding="utf-8")
    return jupytext.writes(jupytext.read(path), fmt="py:percent", config=settings) != script


def _paired(path: Path) -> nbformat.NotebookNode:
    """The notebook that belongs to a script: no outputs, cells numbered in order."""
    notebook = jupytext.read(path.with_suffix(".py"), fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
    nbformat.validate(notebook)
    return notebook


def execute(path: Path, target: Path, parameters: dict, progress: bool = True) -> None:
    """Run a notebook with parameters in a kernel of its own and store the executed copy as `target`.

    Raises
    ------
    ConfigError
        As `parameters.check_parameters`.
    NotebookError
        A cell raised; the executed copy shows where.
    """
    check_parameters(path, parameters)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _this_checkout_first():
            papermill.execute_notebook(
                str(path),
                str(target),
                parameters=parameters,
                cwd=str(FOLDER),
                kernel_name="python3",
                progress_bar=progress,
                extra_arguments=["--log-level=CRITICAL"],  # of the kernel: it warns of local TCP, and errs when stopped
            )
    except PapermillExecutionError as error:
        raise NotebookError(f"{path.stem}: cell {error.exec_count}: {error.ename}: {error.evalue}") from error
    finally:
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
        for cell in notebook.cells:
            if "outputs" in cell:
                cell.outputs = [output for output in cell.outputs if not _tells_of_compiling(output)]
        nbformat.write(notebook, target)


def _tells_of_compiling(output: nbformat.NotebookNode) -> bool:
    """Whether nothing is said but that kernels are compiled, once, and in which folder they are kept."""
    is_stderr = output.output_type == "stream" and output.name == "stderr"
    return is_stderr and all(line.startswith("lhic: compiling kernels") for line in output.text.splitlines())
