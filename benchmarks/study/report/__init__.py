"""The report of a study: one page that needs no other file, made from rows and from what notebooks left beside them.

Everything that rows can give is computed from them anew; what else the notebooks left in the results folder, and gave
a caption, is collected behind it.  Nothing is measured, and the same rows give the same page.  `sections` decides what
is shown, `answers` what is said about it, `page` how it looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from IPython.display import Markdown

from benchmarks.exhibits import figures, seen, tables
from benchmarks.measure.files import write_file
from benchmarks.measure.provenance import REPOSITORY, shown
from benchmarks.measure.rows import has_rows, read_rows
from benchmarks.study.report import answers, page, sections
from benchmarks.study.report.sections import Report

COMMITTED = "results/small"  # the study that the README shows


def build(profile: str) -> Path:
    """Write the report of ``results/<profile>``; returns its file.

    Raises
    ------
    DatasetError
        There are no rows of that profile.
    """
    return write(collect(REPOSITORY / "results" / profile))


def collect(folder: Path, source: Path | None = None) -> Report:
    """What there is to report of a results folder, with the rows and settings of another one, `source`, if given.

    Tables and figures that rows alone give are written into the folder anew.
    """
    source = source or folder
    rows = seen.noted(read_rows(source))
    settings = sections.settings_of(source)
    found = []
    for section in sections.from_rows(rows, settings):
        for exhibit in section.exhibits:
            exhibit.write(folder)
        found.append(section.as_shown(folder, source))
    found.extend(sections.from_notebooks(folder, rows, found))
    return Report(
        title=f"lhic: report of {shown(folder)}",
        folder=folder,
        rows=rows,
        key_numbers=answers.key_numbers(rows, folder, source),
        sections=[section for section in found if section.shown],
        provenance=sections.provenance(rows, source),
    )


def write(report: Report) -> Path:
    """Write ``report/report.html`` in the folder of the report; returns its path."""
    path = report.folder / "report" / "report.html"
    write_file(path, page.render(report))
    return path


def source_of(folder: Path) -> Path:
    """The results folder whose rows a notebook reads: its own, or the committed small study where it has none yet."""
    return folder if has_rows(folder) else REPOSITORY / COMMITTED


def displayed(report: Report) -> Iterator[Markdown | pd.DataFrame | figures.StoredFigure]:
    """The report for a notebook, in the order of the page: headings with their answers, tables and figures."""
    lines = [f"* **{number.value}** {number.name} ({number.about})" for number in report.key_numbers]
    yield Markdown("\n".join(lines))
    for section in report.sections:
        yield Markdown(f"## {section.title}\n\n{section.answer}")
        for one in section.shown:
            yield Markdown(f"**{one.title}.** {one.caption} {' '.join(one.notes)}")
            yield tables.cells(one.table) if one.is_table else figures.StoredFigure(one.figure.with_suffix(".png"))
