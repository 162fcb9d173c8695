"""The study from end to end: measure what a profile asks for, run the notebooks, print the main table.

A profile is a file ``notebooks/params/<profile>.yml``: parameters for all notebooks under ``common``, for one
under its name.  Measuring happens here, with a progress bar; the notebooks find the rows finished and only
measure what is missing when they are run by hand.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd

from benchmarks.exhibits import catalogue, tables
from benchmarks.measure import provenance
from benchmarks.measure.files import write_file
from benchmarks.measure.plan import has_plan, measure, plan_from
from benchmarks.study import notebooks, selection
from benchmarks.study.parameters import FOLDER, check_parameters, default_parameters, notebooks_of
from lhic.errors import ConfigError, UsageError
from lhic.settings import parse_yaml, read_yaml

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
    path = FOLDER / "params" / f"{name}.yml"
    content = read_yaml(path)
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
    defaults = {path.stem: default_parameters(path) for path in notebooks_of()}
    unknown = set(profile) - set(defaults) - {"common"}
    if unknown:
        raise ConfigError(f"profile: expected common or a notebook's name, found {', '.join(sorted(unknown))}")
    common = profile.get("common", {})
    every = sorted(set().union(*defaults.values()))
    for name in (*common, *overrides):
        if name not in every:
            raise ConfigError(f"parameter {name!r}: expected one of {', '.join(every)}")
    resolved = {}
    for path in notebooks_of():
        given = {**common, **profile.get(path.stem, {}), **overrides}
        own = {name: given[name] for name in given if name in defaults[path.stem] or name in profile.get(path.stem, {})}
        resolved[path.stem] = check_parameters(path, own)
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
    notebooks.sync(check=True)
    given = {
        name: parse_yaml(value, f"parameter {name!r}") if isinstance(value, str) else value
        for name, value in (overrides or {}).items()
    }
    given |= {"dataset": dataset} if dataset else {}
    given |= {"root": str(root)} if root else {}
    if dataset and dataset != "hyspecnet-11k":
        given.setdefault("split", None)
    given |= {"out": _committed(commit_to)} if commit_to else {}
    parameters = resolve_parameters(load_profile(profile), {"out": f"results/local/{profile}", **given})
    plans = [plan_from(found) for found in parameters.values() if has_plan(found)]
    for plan in plans:
        plan.check()
    for name, found in parameters.items():
        selection.check(name, found)
    folder = plans[0].folder
    folder.mkdir(parents=True, exist_ok=True)
    _begin_or_resume(folder)

    environment = {**provenance.environment(), "profile": profile, "parameters": parameters}
    write_file(folder / "environment.json", json.dumps(environment, indent=1) + "\n")
    measured = [measure(plan) for plan in plans]
    for path in notebooks_of():
        notebooks.execute(path, folder / "notebooks" / path.name, parameters[path.stem])
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
        shutil.rmtree(folder / "rows", ignore_errors=True)
    mark.touch()


def _print_results(measured: pd.DataFrame, folder: Path, report: Path) -> None:
    rates = catalogue.rate_table(measured)
    print(tables.to_markdown(rates.body, rates.full_caption))
    failed = tables.error_table(measured)
    if len(failed):
        print(tables.to_markdown(failed, "What did not work."))
    print(f"Rows, tables, figures and executed notebooks: {provenance.shown(folder)}/")
    print(f"Report: {provenance.shown(report)}")
