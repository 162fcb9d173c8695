"""The notebooks' parameters: one type for each name, and what a notebook is run with.

A name means the same in every notebook.  Papermill only warns about a parameter that a notebook does not have, and
takes any value; here both are errors, met before any work: by `notebooks.execute`, and by `check_cell`, which the
notebooks call first, for those who run papermill themselves.  Whether a cube, a band or a crop is there is known to
`selection`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal

from IPython.core.getipython import get_ipython
from IPython.core.interactiveshell import InteractiveShell
from pydantic import Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

import lhic
from benchmarks.codecs import registry
from benchmarks.measure.measurement import DEVICES, FORMS, THREAD_MODES
from benchmarks.measure.provenance import REPOSITORY
from lhic.data import check_kind
from lhic.errors import ConfigError, LhicError, UsageError
from lhic.settings import STRICT, Count, Natural, as_json, checked, told

FOLDER = REPOSITORY / "notebooks"


def _is_a_model(name: str, family: str | None = None) -> None:
    models = {model.name: model.family for model in lhic.list_models()}
    if name not in models and not Path(name).is_file():
        raise UsageError(f"expected a weights file or one of {', '.join(models)}")
    found = models.get(name) or lhic.load_model(name, "cpu").family
    if family not in (None, found):
        raise UsageError(f"expected weights of the family {family}, those are of {found}")


Text = Annotated[str, Field(min_length=1)]
Codec = Annotated[Text, checked(registry.find)]
Kind = Annotated[str, checked(check_kind)]
Model = Annotated[Text, checked(_is_a_model)]
AxModel = Annotated[Text, checked(lambda name: _is_a_model(name, "lhic-ax"))]
Form = Literal[FORMS]
Some = Field(min_length=1)


@with_config(STRICT)
class Parameters(TypedDict, total=False):
    """Every parameter that some notebook has."""

    # where the cubes come from
    dataset: Kind
    root: Text | None
    split: Text | None
    exclude: list[Text]
    max_cubes: Count | None
    n_cubes: Count | None
    cube_index: Natural
    crop: Natural
    max_bands: Natural
    bands: list[Natural]
    colour_bands: tuple[Natural, Natural, Natural] | None
    nodata: Annotated[int, Field(ge=-(1 << 31), lt=1 << 32)] | None
    # what is measured
    codec: Codec
    codecs: list[Codec]
    slow_codecs: list[Codec]
    growth_codecs: Annotated[list[Codec], Some]
    reference: Codec
    peers: list[Codec]
    form: Form
    further: list[Text]
    ideas: Text
    spectral_pairs: list[tuple[Codec, Codec]]
    water_cubes: list[Text]
    model: Model
    batch_model: Model
    ax_model: AxModel
    ax_models: Annotated[list[AxModel], Some]
    max_errors: Annotated[list[Annotated[int, Field(ge=0, le=65535)]], Some]
    forms: Annotated[list[Form], Some]
    slow_forms: list[Form]
    option: Text
    depths: Annotated[list[Annotated[int, Field(ge=1, le=16)]], Some]
    # how it is measured
    device: Literal[DEVICES]
    thread_modes: Annotated[list[Literal[THREAD_MODES]], Some]
    repeats: Count
    passes: Count
    long_s: Annotated[float, Field(ge=0)]
    timeout_s: Annotated[float, Field(ge=0.1)]
    thread_counts: Annotated[list[Count], Some]
    batch_sizes: Annotated[list[Count], Some]
    image_sizes: Annotated[list[Count], Some]
    band_counts: Annotated[list[Count], Some]
    seed: Natural
    out: Text


PARAMETERS = TypeAdapter(Parameters)


def notebooks_of(names: str = "[0-9][0-9]_*") -> list[Path]:
    """Paths of the notebooks in the order of the study; ``*`` gives the interactive ones, too."""
    return sorted(script.with_suffix(".ipynb") for script in FOLDER.glob(f"{names}.py"))


def default_parameters(notebook: Path) -> dict:
    """Names and values of the cell tagged ``parameters``.

    Raises
    ------
    ConfigError
        No such cell, or a value in it that is not a literal.
    """
    import papermill  # here, because it would cost each kernel seconds

    found = {}
    for name, about in papermill.inspect_notebook(str(notebook)).items():
        try:
            found[name] = ast.literal_eval(about["default"])
        except (ValueError, SyntaxError) as error:
            raise ConfigError(f"{notebook.stem}: parameter {name!r}: expected a literal") from error
    if not found:
        raise ConfigError(f"{notebook.stem}: expected a cell tagged parameters, found none with any")
    return found


def check_parameters(notebook: Path, given: Mapping) -> dict:
    """The parameters a notebook will run with: its defaults, replaced by the given ones.

    Raises
    ------
    ConfigError
        A parameter the notebook does not have, or a value that it cannot have.
    """
    defaults = default_parameters(notebook)
    _expect_known(given, defaults, notebook.stem)
    return check_values({**defaults, **given}, notebook.stem)


def check_values(parameters: dict, where: str) -> dict:
    """The parameters, if all have values that they can have.

    Raises
    ------
    ConfigError
        The message begins with `where` and names the parameter, what was expected and what was found.
    """
    try:
        PARAMETERS.validate_json(as_json(parameters))
    except ValidationError as error:
        raise ConfigError(f"{where}: parameter {told(error)}") from None
    return parameters


def check_cell(name: str, namespace: dict) -> None:
    """Check the parameters of the notebook that is running; its first call, in the cell after them.

    Parameters
    ----------
    name : of the notebook, e.g. ``05_param_d``
    namespace : its globals, where IPython keeps the cells that have run, too

    Raises
    ------
    ConfigError
        As `check_parameters`, or the notebook was started in another checkout than the one it imports from.
    """
    _tell_errors_in_one_line()
    here = Path.cwd().resolve()
    if here != FOLDER and (here.parent / "benchmarks" / "__init__.py").exists() and (here / f"{name}.py").exists():
        raise ConfigError(
            f"{name}: expected the modules of {here.parent}, found those of {FOLDER.parent}; set PYTHONPATH"
        )
    for before, cell in pairwise(namespace.get("In", [])):
        if cell.startswith("# Parameters\n"):  # papermill's, right behind that of the notebook
            _expect_known(_assigned(cell), _assigned(before), name)
    check_values({known: namespace[known] for known in Parameters.__annotations__ if known in namespace}, name)


def _tell_errors_in_one_line() -> None:
    """Errors of ours say all there is to say; IPython puts fifty lines of source before them, as ``%tb`` still does."""
    shell = get_ipython()
    if shell is not None:
        shell.set_custom_exc((LhicError,), _tell)


def _tell(shell: InteractiveShell, kind: type, error: LhicError, trace: TracebackType, tb_offset: int | None = None):
    shell.showtraceback((kind, error, trace), exception_only=True)


def _assigned(cell: str) -> list[str]:
    return [node.targets[0].id for node in ast.parse(cell).body if isinstance(node, ast.Assign)]


def _expect_known(names: Mapping | list[str], known: Mapping | list[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(f"{where}: parameter {name!r}: expected one of {', '.join(known)}")
