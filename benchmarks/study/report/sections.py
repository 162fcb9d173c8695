"""What the report shows: sections of tables and figures, from rows and from the files that notebooks wrote."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from benchmarks.exhibits import catalogue, figures, seen, statistics, tables
from benchmarks.exhibits.catalogue import Exhibit
from benchmarks.measure.provenance import REPOSITORY
from benchmarks.study.parameters import notebooks_of
from benchmarks.study.report import answers
from benchmarks.study.report.answers import Link
from lhic import list_models
from lhic.errors import DatasetError

# What these notebooks show comes from the same rows, so the report computes it anew, with their parameters.
NOTEBOOKS_OF_ROWS = ("02_bitrate", "03_baselines")


@dataclass(frozen=True)
class Shown:
    """A table or figure as the report shows it.

    title : ``Table 3``
    table : of a table; texts, or numbers that `tables.number` writes
    figure : of a figure, its files without suffix
    links : rows, files, notebook and commit behind it
    """

    name: str
    caption: str
    notes: tuple[str, ...]
    links: tuple[Link, ...]
    title: str = ""
    table: pd.DataFrame | None = None
    figure: Path | None = None

    @property
    def is_table(self) -> bool:
        return self.table is not None


@dataclass(frozen=True)
class Section:
    """A question, its answer in a sentence, and what shows it.

    notebook : stem of the notebook that asks the same
    """

    title: str
    answer: str
    notebook: str
    exhibits: Sequence[Exhibit] = ()
    shown: Sequence[Shown] = ()
    commits: str = ""

    @property
    def anchor(self) -> str:
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")

    def as_shown(self, folder: Path, source: Path) -> Section:
        """With the exhibits, which lie in the folder now, as `shown`."""
        rows = Link("rows.csv", _href(source / "rows.csv", folder))
        found = []
        for exhibit in self.exhibits:
            notebook = _notebook_link(self.notebook, folder)
            code = Link(exhibit.code)
            about = exhibit.name, exhibit.caption, exhibit.notes
            if exhibit.is_table:
                data = Link(f"{exhibit.name}.csv", f"../tables/{exhibit.name}.csv")
                links = (rows, data, notebook, code, Link(self.commits))
                found.append(Shown(*about, links, table=exhibit.body))
            else:
                data = Link(f"{exhibit.name}.pdf", f"../figures/{exhibit.name}.pdf")
                links = (rows, data, notebook, code, Link(self.commits))
                found.append(Shown(*about, links, figure=folder / "figures" / exhibit.name))
        return replace(self, shown=found)


@dataclass(frozen=True)
class Report:
    """All of it; exhibits are numbered through."""

    title: str
    folder: Path
    rows: pd.DataFrame
    key_numbers: Sequence[answers.KeyNumber]
    sections: Sequence[Section]
    provenance: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        counts = {True: itertools.count(1), False: itertools.count(1)}

        def numbered(one: Shown) -> Shown:
            return replace(one, title=f"{'Table' if one.is_table else 'Figure'} {next(counts[one.is_table])}")

        found = [replace(section, shown=[numbered(one) for one in section.shown]) for section in self.sections]
        object.__setattr__(self, "sections", found)


def from_rows(rows: pd.DataFrame, settings: dict) -> Iterator[Section]:
    """Sections that need nothing but rows.

    Parameters
    ----------
    settings : parameters by notebook, as ``environment.json`` has them: the forms that come first there are those of
        figures that show only one; what is missing is left out, and the reference is then the codec with the
        smallest rate
    """
    bitrate, baselines = (settings.get(name, {}) for name in NOTEBOOKS_OF_ROWS)
    headline = _first_form(rows, bitrate.get("forms", ()))
    one_form = _first_form(rows, baselines.get("forms", ()))
    means = tables.complete_means(one_form)
    if means.empty:
        raise DatasetError("rows: expected a codec that coded every cube, found none")
    reference = baselines.get("reference")
    reference = reference if reference in means.index else means.index[0]
    n_cubes = one_form["cube"].nunique()
    commits = answers.commits(rows)

    def section(title: str, answer: str, notebook: str, exhibits: list[Exhibit]) -> Section:
        return Section(title, answer, notebook, exhibits, commits=commits)

    shown = [catalogue.rate_table(rows), catalogue.rate_figure(rows), catalogue.rate_speed_figure(headline)]
    yield section("Rate and speed", answers.rate(rows), "02_bitrate", shown)
    if 0 < len(seen.unseen_only(rows)) < len(rows):
        answer = "Above, the weights of some codecs have seen some of the cubes; here they have seen none. "
        answer += answers.rate(seen.unseen_only(rows))
        yield section("Unseen cubes", answer, "02_bitrate", [catalogue.unseen_table(rows)])

    compared = [catalogue.paired_table(one_form, reference), catalogue.paired_figure(one_form, reference)]
    for form, other in rows.groupby("form"):
        if form != one_form["form"].iloc[0] and reference in tables.complete_means(other):
            compared.append(catalogue.paired_table(other, reference, name=f"paired_{form}"))
    if n_cubes > 1:
        compared.append(catalogue.win_table(one_form))
    answer = answers.differences(one_form, reference)
    yield section("Differences between codecs", answer, "03_baselines", compared)

    groups = []
    for column, table in (("sensor", one_form), ("tile", _with_tiles(one_form))):
        if table[column].nunique() > 1:
            groups += [catalogue.group_table(table, column), catalogue.group_figure(table, column, reference)]
            groups.append(catalogue.paired_table(_best(table, reference), reference, by=column))
    groups += [catalogue.group_table(one_form, "cube")] if 1 < n_cubes <= 20 else []
    yield section("By sensor and tile", answers.groups(one_form), "03_baselines", groups)

    gains = catalogue.gain_table(one_form, baselines.get("spectral_pairs", ()), baselines.get("water_cubes", ()))
    if len(gains.body):
        shown = [gains, catalogue.gain_figure(gains)]
        yield section("Spectral prediction", answers.spectral(gains.body), "03_baselines", shown)

    costs = catalogue.cost_table(one_form)
    if costs is not None:
        yield section("Cost of HySpecNet-11k", answers.cost(costs.body, one_form), "03_baselines", [costs])
    if len(tables.error_table(rows)):
        n_failed = (rows["error"] != "").sum()
        answer = f"{n_failed} of {len(rows)} measurements have no result."
        yield section("What did not work", answer, "02_bitrate", [catalogue.error_table(rows)])


def _first_form(rows: pd.DataFrame, forms: Sequence[str]) -> pd.DataFrame:
    present = set(rows["form"])
    return rows[rows["form"] == next(form for form in (*forms, *sorted(present)) if form in present)]


def _best(rows: pd.DataFrame, reference: str, n_codecs: int = 6) -> pd.DataFrame:
    """Rows of the codecs with the smallest mean rates, and of the reference."""
    best = tables.complete_means(rows).index[:n_codecs]
    return rows[tables.label(rows).isin([*best, reference])]


def _with_tiles(rows: pd.DataFrame) -> pd.DataFrame:
    tiles = rows["cube"].map(statistics.tile)
    return rows.assign(tile=tiles)[tiles != ""]


def _environment(folder: Path) -> dict:
    path = folder / "environment.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def settings_of(folder: Path) -> dict:
    """Parameters by notebook of the study that wrote the folder."""
    return _environment(folder).get("parameters", {})


def _href(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder / "report")).as_posix() if path.exists() else ""


def _notebook_link(stem: str, folder: Path) -> Link:
    return Link(f"{stem}.ipynb", _href(folder / "notebooks" / f"{stem}.ipynb", folder))


def from_notebooks(folder: Path, rows: pd.DataFrame, made: Sequence[Section]) -> Iterator[Section]:
    """Tables and figures with a caption that notebooks wrote and rows alone do not give, by notebook."""
    taken = {(one.name, one.is_table) for section in made for one in section.shown}
    drawn = {one.figure.with_suffix(".svg").read_bytes() for section in made for one in section.shown if one.figure}
    commit = _environment(folder).get("commit", "")
    for notebook in notebooks_of():
        if notebook.stem in NOTEBOOKS_OF_ROWS:
            continue
        text = notebook.with_suffix(".py").read_text(encoding="utf-8")
        found = []
        for path in _written(folder, text):
            is_table = path.suffix == ".md"
            if (path.stem, is_table) in taken:
                continue
            table, caption = tables.read_table(path) if is_table else (None, figures.read_caption(path))
            figure = None if is_table else path.with_suffix("")
            if not caption or (figure and figure.with_suffix(".svg").read_bytes() in drawn):
                continue
            taken.add((path.stem, is_table))
            data = path.with_suffix(".csv" if is_table else ".pdf")
            links = (
                *(Link(data.name, _href(data, folder)), _notebook_link(notebook.stem, folder)),
                *([Link(f"commit {commit}")] if commit else []),
            )
            found.append(Shown(path.stem, caption, (), links, table=table, figure=figure))
        title = _title(text, notebook.stem)
        yield Section(title, answers.of_notebook(notebook.stem, folder, rows), notebook.stem, shown=found)


def _written(folder: Path, script: str) -> list[Path]:
    """Tables and figures of a folder that a notebook writes, in its order."""
    places = {}
    for path in [*sorted(folder.glob("tables/*.md")), *sorted(folder.glob("figures/*.png"))]:
        # As an argument: other texts of that name, such as the parameter `param_d`, do not make an exhibit.
        found = re.search(rf'(?<!\.get)[,(]\s*"{path.stem}"\s*[,)]', script)
        if found:
            places[path] = found.start()
    return sorted(places, key=places.__getitem__)


def _title(script: str, default: str) -> str:
    found = re.search(r"^# # (.+)$", script, re.MULTILINE)
    return found[1] if found else default


def provenance(rows: pd.DataFrame, source: Path) -> dict[str, str]:
    """Where the rows of a results folder come from, by name."""
    names = {model.sha256: model.name for model in list_models()}
    weights = sorted(set(rows["weights_hash"]) - {""})
    libraries = [json.loads(text) for text in sorted(set(rows["libraries"]) - {""})]
    promised = rows["provenance"].value_counts()
    shown = source.relative_to(REPOSITORY) if source.is_relative_to(REPOSITORY) else Path(source.name)
    entries = {
        "rows": f"{shown.as_posix()}/rows ({len(rows)}), SHA-256 {_sha256(source / 'rows')}",
        "sizes hold": ", ".join(f"{where}: {n_rows} rows" for where, n_rows in promised.items()),
        "dataset SHA-256": ", ".join(sorted(set(rows["dataset_sha256"]) - {""})),
        "weights": ", ".join(f"{names.get(sha256, 'not found here')} {sha256}" for sha256 in weights) or "none",
        "measured with commit": ", ".join(sorted(set(rows["commit"]) - {""})),
        "measured between": f"{rows['date'].min()} and {rows['date'].max()}",
        "machine": tables.machine_note(rows).removeprefix("Machine: "),
        "libraries": "; ".join(", ".join(f"{name} {version}" for name, version in one.items()) for one in libraries),
        "made again by": _command(source),
    }
    return {name: entry or "not recorded" for name, entry in entries.items()}


def _command(folder: Path) -> str:
    results = REPOSITORY / "results"
    if not folder.is_relative_to(results):
        return "benchmarks.study.report.collect, write"
    return f"invoke report --profile {folder.relative_to(results).as_posix()}"


def _sha256(folder: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("part-*.parquet")))).hexdigest()
