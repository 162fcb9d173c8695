"""The study from end to end: measure what a profile asks for, run the notebooks, print the main table.

A profile is a file ``notebooks/params/<profile>.yml``: parameters for all notebooks under ``common``, for one
under its name.  Measuring happens here, with a progress bar; the notebooks find the rows finished and only
measure what is missing when they are run by hand.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import yaml

from benchmarks.exhibits import tables
from benchmarks.measure import provenance
from benchmarks.measure.plan import has_plan, measure, plan_from
from benchmarks.study import notebooks
from benchmarks.study.parameters import check_parameters, default_parameters
from lhic.errors import ConfigError, UsageError, message_of

PROFILES = ("small", "medium", "full")
UNFINISHED = "unfinished"  # this file lies in the results folder while a study runs, or after it was stopped


def load_profile(name: str) -> dict[str, dict]:
    """Parameters of a profile by notebook name, ``common`` among them.

    Raises
    ------
    UsageError
        Unknown profile.
    ConfigError
        The file is not a mapping of mappings.
    """
    if name not in PROFILES:
        raise UsageError(f"profile: expected one of {', '.join(PROFILES)}, found {name!r}")
    path = notebooks.FOLDER / "params" / f"{name}.yml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path.name}: expected a readable YAML file, found {message_of(error)}") from error
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        raise ConfigError(f"{path.name}: expected parameters by notebook name")
    return content


def resolve_parameters(profile: dict[str, dict], overrides: dict) -> dict[str, dict]:
    """What each notebook will run with.

    ``common`` and overrides go to every notebook that has the parameter; one that no notebook has is an error.

    Raises
    ------
    ConfigError
        Unknown notebook or parameter, or a value of the wrong type.
    """
    defaults = {script.stem: default_parameters(script) for script in notebooks.scripts()}
    unknown = set(profile) - set(defaults) - {"common"}
    if unknown:
        raise ConfigError(f"profile: expected common or a notebook's name, found {', '.join(sorted(unknown))}")
    shared = {**profile.get("common", {}), **overrides}
    for name in shared:
        if not any(name in known for known in defaults.values()):
            every = sorted(set().union(*defaults.values()))
            raise ConfigError(f"parameter {name!r}: expected one of {', '.join(every)}")
    resolved = {}
    for script in notebooks.scripts():
        common = {name: value for name, value in profile.get("common", {}).items() if name in defaults[script.stem]}
        given = {name: value for name, value in overrides.items() if name in defaults[script.stem]}
        own = profile.get(script.stem, {})
        resolved[script.stem] = check_parameters(script, {**common, **own, **given})
    return resolved


def run_study(
    profile: str = "small",
    dataset: str | None = None,
    root: str | None = None,
    overrides: dict | None = None,
    commit_to: str | None = None,
) -> Path:
    """Run a profile: measure, execute the notebooks, write the results, print the main table.

    Results go to ``results/local/<profile>``, which git ignores, unless something else is asked for.

    Parameters
    ----------
    profile : ``small`` (the bundled patch), ``medium`` (a folder of cubes) or ``full`` (HySpecNet-11k, hard/test)
    dataset, root : replace the profile's dataset
    overrides : further parameters; text values are read as YAML (``repeats=3``, ``codecs=[lerc, png-default]``)
    commit_to : folder that gets the results instead, e.g. ``results/small``; what is committed there is replaced

    Returns
    -------
    Path of the report, ``report/report.html`` in the results folder.

    Raises
    ------
    UsageError, ConfigError
        Unknown profile or parameter; before any work.
    DatasetError, BackendError
        The dataset is not there, or a codec does not work here; before any work.
    NotebookError
        A notebook failed.
    """
    given = {name: _read_value(value) for name, value in (overrides or {}).items()}
    given |= {"dataset": dataset} if dataset else {}
    given |= {"root": str(root)} if root else {}
    if dataset and dataset != "hyspecnet-11k":
        given.setdefault("split", None)
    given |= {"out": _committed(commit_to)} if commit_to else {}
    parameters = resolve_parameters(load_profile(profile), {"out": f"results/local/{profile}", **given})
    plans = [plan_from(found) for found in parameters.values() if has_plan(found)]
    for plan in plans:
        plan.check()
    folder = plans[0].folder
    folder.mkdir(parents=True, exist_ok=True)
    _begin_or_resume(folder)

    environment = {**provenance.environment(), "profile": profile, "parameters": parameters}
    (folder / "environment.json").write_text(json.dumps(environment, indent=1) + "\n", encoding="utf-8")
    measured = [measure(plan) for plan in plans]
    for script in notebooks.scripts():
        notebooks.execute(script, folder / "notebooks" / f"{script.stem}.ipynb", parameters[script.stem])
    (folder / UNFINISHED).unlink()
    report = folder / "report" / "report.html"
    _print_results(measured[0], folder, report)
    return report


def _committed(folder: str) -> str:
    path = (provenance.REPOSITORY / folder).resolve()
    if path.parent != provenance.REPOSITORY / "results":
        raise UsageError(f"commit-to: expected a folder in results/, e.g. results/small, found {folder!r}")
    return path.relative_to(provenance.REPOSITORY).as_posix()


def _begin_or_resume(folder: Path) -> None:
    """Rows of a finished study are measured anew; those of one that was stopped are kept."""
    mark = folder / UNFINISHED
    if not mark.exists():
        (folder / "rows.csv").unlink(missing_ok=True)
    mark.touch()


def _read_value(value: object) -> object:
    try:
        return yaml.safe_load(value) if isinstance(value, str) else value
    except yaml.YAMLError as error:
        raise ConfigError(f"parameter value {value!r}: expected YAML") from error


def _print_results(measured: pd.DataFrame, folder: Path, report: Path) -> None:
    print(tables.to_markdown(tables.rate_table(measured), tables.caption(measured, "Mean over")))
    failed = tables.error_table(measured)
    if len(failed):
        print(tables.to_markdown(failed, "What did not work."))
    print(f"Rows, tables, figures and executed notebooks: {provenance.shown(folder)}/")
    print(f"Report: {provenance.shown(report)}")
