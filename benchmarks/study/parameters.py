"""The notebooks' parameters: names and defaults from their scripts, and one check of values for each name.

A name means the same in every notebook.  Papermill only warns about a parameter that a notebook does not have, and
takes any value; here both are errors, met before any work: by `notebooks.execute`, and by `check_cell`, which the
notebooks call first, for those who run papermill themselves.  Whether a folder or a cube is there is found out by
those who open it, before anything is measured.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.codecs import registry
from benchmarks.measure.measurement import FORMS, THREAD_MODES
from benchmarks.measure.provenance import REPOSITORY
from lhic.data import kinds
from lhic.errors import ConfigError, LhicError, UsageError
from lhic.families.registry import DEVICES, find_weights
from lhic.families.weights import load_weights

FOLDER = REPOSITORY / "notebooks"

Check = Callable[[object], None]
"""Raises `ValueError` with what was expected, or an error of lhic."""


def default_parameters(script: Path) -> dict:
    """Names and values of the cell tagged ``parameters``.

    Raises
    ------
    ConfigError
        No such cell, or something in it that is not the assignment of a literal.
    """
    # Not jupytext, which would read any notebook: the libraries it loads cost each kernel three seconds.
    cells = re.split(r"^# %%", script.read_text(encoding="utf-8"), flags=re.MULTILINE)
    tagged = [cell.partition("\n")[2] for cell in cells if cell.startswith(' tags=["parameters"]\n')]
    if len(tagged) != 1:
        raise ConfigError(f"{script.name}: expected one cell tagged parameters, found {len(tagged)}")
    found = {}
    for statement in ast.parse(tagged[0]).body:
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
        takes any), or a value that `CHECKS` refuses.
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
        As `check_parameters`, or the notebook was started in another checkout than the one it imports from.
    """
    here = Path.cwd().resolve()
    if here != FOLDER and (here.parent / "benchmarks" / "__init__.py").exists() and (here / f"{name}.py").exists():
        raise ConfigError(
            f"{name}: expected the modules of {here.parent}, found those of {FOLDER.parent}; set PYTHONPATH"
        )
    script = FOLDER / f"{name}.py"
    given = {known: namespace[known] for known in default_parameters(script)}
    for source in namespace.get("In", []):
        if source.startswith("# Parameters\n"):  # papermill's cell
            added = (node.targets[0].id for node in ast.parse(source).body if isinstance(node, ast.Assign))
            given |= {added_name: namespace[added_name] for added_name in added}
    check_parameters(script, given)


def check_values(parameters: dict, where: str) -> None:
    """Raise for the first value that a parameter cannot have.

    Parameters
    ----------
    parameters : values by name; names without a check are passed over
    where : begins the message, e.g. the notebook's name

    Raises
    ------
    ConfigError
        The message names the parameter, what was expected and what was found.
    """
    for name, value in parameters.items():
        try:
            CHECKS.get(name, _anything)(value)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{where}: parameter {name!r}: expected {error}, found {value!r}") from error
        except LhicError as error:
            raise ConfigError(f"{where}: parameter {name!r}: {error}") from error


def _anything(value: object) -> None:
    pass


def _one_of(allowed: Callable[[], Sequence[str]]) -> Check:
    def check(value: object) -> None:
        if value not in allowed():
            raise ValueError(f"one of {', '.join(allowed())}")

    return check


def _at_least(low: float) -> Check:
    def check(value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= low:
            raise ValueError(f"a number of at least {low}")

    return check


def _whole(low: int, high: int | None = None) -> Check:
    def check(value: object) -> None:
        if type(value) is not int or value < low or (high is not None and value > high):
            raise ValueError(f"an integer of at least {low}" if high is None else f"an integer in {low}..{high}")

    return check


def _optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _list_of(check: Check, n_least: int = 0, n_most: int | None = None) -> Check:
    def check_each(value: object) -> None:
        if not isinstance(value, list) or len(value) < n_least or (n_most is not None and len(value) > n_most):
            raise ValueError(f"a list of {n_least} to {'any number of' if n_most is None else n_most} values")
        for element in value:
            check(element)

    return check_each


def _text(value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError("text")


def _codec(value: object) -> None:
    _text(value)
    registry.find(value)


def _model(value: object) -> None:
    _text(value)
    if not find_weights(value).is_file():
        raise UsageError(f"{value}: expected a weights file, found nothing there")


def _ax_model(value: object) -> None:
    _model(value)
    family = load_weights(find_weights(value)).family
    if family != "lhic-ax":
        raise UsageError(f"{value}: expected weights of the family lhic-ax, found {family}")


CHECKS: dict[str, Check] = {
    # where the cubes come from
    "dataset": _one_of(kinds),
    "root": _optional(_text),
    "split": _optional(_text),
    "exclude": _list_of(_text),
    "max_cubes": _optional(_whole(1)),
    "n_cubes": _optional(_whole(1)),
    "cube_index": _whole(0),
    "crop": _whole(0),
    "max_bands": _whole(0),
    "bands": _list_of(_whole(0)),
    "colour_bands": _optional(_list_of(_whole(0), 3, 3)),
    "nodata": _optional(_whole(-(1 << 31), (1 << 32) - 1)),
    # what is measured
    "codec": _codec,
    "codecs": _list_of(_codec),
    "slow_codecs": _list_of(_codec),
    "growth_codecs": _list_of(_codec, 1),
    "reference": _codec,
    "spectral_pairs": _list_of(_list_of(_codec, 2, 2)),
    "model": _model,
    "batch_model": _model,
    "ax_model": _ax_model,
    "ax_models": _list_of(_ax_model, 1),
    "max_errors": _list_of(_whole(0, 65535), 1),
    "forms": _list_of(_one_of(lambda: FORMS), 1),
    "slow_forms": _list_of(_one_of(lambda: FORMS)),
    "option": _text,
    "depths": _list_of(_whole(1, 16), 1),
    # how it is measured
    "device": _one_of(lambda: DEVICES),
    "thread_modes": _list_of(_one_of(lambda: THREAD_MODES), 1),
    "repeats": _whole(1),
    "passes": _whole(1),
    "long_s": _at_least(0),
    "timeout_s": _at_least(0.1),
    "thread_counts": _list_of(_whole(1), 1),
    "batch_sizes": _list_of(_whole(1), 1),
    "image_sizes": _list_of(_whole(1), 1),
    "band_counts": _list_of(_whole(1), 1),
    "block": _whole(1),
    "seed": _whole(0),
    "out": _text,
}
