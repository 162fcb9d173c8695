"""The study's notebooks: scripts and their paired ``.ipynb`` files, parameters, execution.

The ``py:percent`` script is the source; the ``.ipynb`` is made from it, without outputs, so that a change is
a readable diff.  Papermill only warns about a parameter a notebook does not have and takes any value; here both
are errors, met before any work: by `execute`, and by `check_cell`, which the notebooks call first, for those who run
papermill themselves.
"""

from __future__ import annotations

import ast
from pathlib import Path

import jupytext
import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from benchmarks.parameters import check_values
from benchmarks.provenance import REPOSITORY
from lhic.errors import ConfigError, LhicError

FOLDER = REPOSITORY / "notebooks"
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


def default_parameters(script: Path) -> dict:
    """Names and values of the cell tagged ``parameters``.

    Raises
    ------
    ConfigError
        No such cell, or something in it that is not the assignment of a literal.
    """
    cells = [
        cell for cell in jupytext.read(script, fmt="py:percent").cells if "parameters" in cell.metadata.get("tags", [])
    ]
    if len(cells) != 1:
        raise ConfigError(f"{script.name}: expected one cell tagged parameters, found {len(cells)}")
    found = {}
    for statement in ast.parse(cells[0].source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                try:
                    found[name] = ast.literal_eval(value)
                except ValueError as error:
                    raise ConfigError(f"{script.name}: parameter {name}: expected a literal") from error
            case _:
                raise ConfigError(f"{script.name}: parameters: expected assignments, found {ast.unparse(statement)!r}")
    return found


def check_parameters(script: Path, given: dict) -> dict:
    """The parameters a notebook will run with: its defaults, replaced by the given ones.

    Raises
    ------
    ConfigError
        A parameter the notebook does not have, a value of another type than its default (a default of None
        takes any), or a value that `parameters` refuses.
    """
    defaults = default_parameters(script)
    for name, value in given.items():
        if name not in defaults:
            known = ", ".join(defaults)
            raise ConfigError(f"{script.stem}: parameter {name!r}: expected one of {known}")
        default = defaults[name]
        allowed = (int, float) if isinstance(default, float) else (type(default),)
        if default is not None and value is not None and type(value) not in allowed:
            wanted = f"{type(default).__name__} like {default!r}"
            raise ConfigError(f"{script.stem}: parameter {name!r}: expected {wanted}, found {value!r}")
    parameters = defaults | given
    left_open = {name for name, value in parameters.items() if value is None and defaults[name] is None}
    check_values({name: parameters[name] for name in parameters if name not in left_open}, script.stem)
    return parameters


def check_cell(name: str, namespace: dict) -> None:
    """Check the parameters of the notebook that is running; its first call.

    Parameters
    ----------
    name : of the notebook, e.g. ``05_param_d``
    namespace : its globals; what papermill has set is in the cell it added, edited values are the names' own

    Raises
    ------
    ConfigError
        As `check_parameters`.
    """
    script = FOLDER / f"{name}.py"
    given = {known: namespace[known] for known in default_parameters(script)}
    for source in namespace.get("In", []):
        if source.startswith("# Parameters\n"):  # papermill's cell
            added = (node.targets[0].id for node in ast.parse(source).body if isinstance(node, ast.Assign))
            given |= {added_name: namespace[added_name] for added_name in added}
    check_parameters(script, given)


def execute(script: Path, target: Path, parameters: dict, progress: bool = True) -> None:
    """Run a notebook with parameters in a kernel of its own and store the executed copy as `target`.

    Raises
    ------
    ConfigError
        As `check_parameters`.
    NotebookError
        A cell raised; the executed copy shows where.
    """
    check_parameters(script, parameters)
    target.parent.mkdir(parents=True, exist_ok=True)
    source = target.with_suffix(".input.ipynb")
    source.write_text(paired_text(script), encoding="utf-8")
    try:
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


def _forget_paths(target: Path) -> None:
    """Executed copies are published: where they were executed is nobody's business."""
    if target.exists():
        notebook = nbformat.read(target, as_version=4)
        for key in ("input_path", "output_path"):
            notebook.metadata.get("papermill", {}).pop(key, None)
        nbformat.write(notebook, target)
