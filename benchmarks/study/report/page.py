"""How the report looks: one HTML page with its tables, figures and scripts inside, for screen, phone and paper.

The page is the template ``templates/page.html.j2``; tables are pandas' Styler's, which a reader without JavaScript or
on paper sees as they are, and DataTables, from the bundle of itables, makes them sortable and searchable.
"""

from __future__ import annotations

import base64
import itertools
import re
from pathlib import Path
from urllib.parse import quote

import itables
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pandas.io.formats.style import Styler

from benchmarks.exhibits import tables
from benchmarks.exhibits.statistics import short_name
from benchmarks.study.report.sections import Report, Shown

TEMPLATES = Path(__file__).with_name("templates")
BUNDLE = Path(itables.__file__).parent / "html" / "dt_bundle.js"  # DataTables as a module, its style beside it
SEARCHED = 8  # lines from which on a table can be searched
WIDE = 10  # columns from which on a table is set smaller
SHORT = 36  # letters of a text that is kept on one line on screens
WORD = 24  # and on paper
PIXELS_OF_A_POINT = 2  # letters of 7 points are read with ease then, and the widest figure fills the column


def render(report: Report) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    names = short_names(report.rows)
    environment.globals |= {
        "draw_table": lambda one, number: draw_table(one, number, names),
        "draw_figure": draw_figure,
        "count": itertools.count(1).__next__,
    }
    notes = list(dict.fromkeys(note for section in report.sections for one in section.shown for note in one.notes))
    return environment.get_template("page.html.j2").render(
        report=report,
        about=about(report.rows),
        cubes=cube_table(report.rows, names),
        note_numbers={note: number for number, note in enumerate(notes, 1)},
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "page.js").read_text(encoding="utf-8")),
        datatables_style=Markup(BUNDLE.with_suffix(".css").read_text(encoding="utf-8")),
        datatables=base64.b64encode(BUNDLE.read_bytes()).decode("ascii"),
    )


def about(rows: pd.DataFrame) -> str:
    """What was measured, in a sentence."""
    codecs = tables.good(rows)["codec"].nunique()
    forms = " and ".join(sorted(rows["form"].unique()))
    datasets = ", ".join(sorted(rows["dataset"].unique()))
    days = sorted({date[:10] for date in (rows["date"].min(), rows["date"].max())})
    return f"{codecs} codecs on {tables.cubes(rows)} of {datasets}, {forms}, measured {' to '.join(days)}."


def short_names(rows: pd.DataFrame) -> dict[str, str]:
    """Short name of each cube; full names where short ones would not tell all cubes apart."""
    found = rows.drop_duplicates("cube")
    names = {cube: short_name(cube, sensor) for cube, sensor in zip(found["cube"], found["sensor"])}
    return names if len(set(names.values())) == len(names) else {cube: cube for cube in names}


def cube_table(rows: pd.DataFrame, names: dict[str, str]) -> Shown:
    """Which cube is which."""
    found = rows.sort_values("form").drop_duplicates("cube")
    shapes = found[["bands", "rows", "columns"]].to_numpy()
    table = pd.DataFrame(
        {
            "cube": found["cube"].map(names),
            "full name": found["cube"],
            "sensor": found["sensor"],
            "bands x rows x columns": [" x ".join(map(str, shape)) for shape in shapes],
            "type": found["dtype"],
            "values": [f"{low} to {high}" for low, high in found[["value_min", "value_max"]].to_numpy()],
        },
        dtype=str,
    )
    return Shown("cubes", "", (), (), table=table.sort_values("cube"))


def draw_table(one: Shown, number: int, names: dict[str, str]) -> Markup:
    """A table with its texts escaped, the names of cubes short, and numbers flush right."""
    table = tables.cells(one.table).reset_index(drop=True)
    if "form" in table and table["form"].nunique() == 1:
        table = table.drop(columns="form")  # the caption says it
    if one.name == "by_cube":
        table = _by_cube(table)
    is_number = [pd.to_numeric(table[name].replace(tables.MISSING, None), errors="coerce").notna() for name in table]
    right = [(found | table[name].eq(tables.MISSING)).all() for name, found in zip(table, is_number)]
    # DataTables takes a hyphen for no number, and sorts the others as numbers.
    for name, flush_right in zip(table, right):
        table[name] = table[name].replace(tables.MISSING, "-") if flush_right else table[name]
    kinds = ["number" if found else _kind(table[name]) for name, found in zip(table, right)]
    classes = pd.DataFrame([kinds] * len(table), columns=table.columns)
    look = "compact" + " searched" * (len(table) >= SEARCHED) + " wide" * (table.shape[1] >= WIDE)
    styler = Styler(table, uuid=f"{one.name}_{number}", cell_ids=False).hide(axis="index")
    styler = styler.format(escape="html").format_index(escape="html", axis="columns").set_td_classes(classes)
    if "cube" in table:
        styler = styler.format(lambda cube: _cube(cube, names), subset=["cube"])
    styler = styler.set_table_attributes(f'class="{look}"')
    return Markup(styler.to_html())


def _kind(texts: pd.Series) -> str:
    longest = max(map(len, texts))
    return "text" + " short" * (longest <= SHORT) + " word" * (longest <= WORD)


def _by_cube(table: pd.DataFrame) -> pd.DataFrame:
    """One line a cube, one column a codec: there are more cubes than fit beside each other."""
    turned = table.set_index("codec").T.rename_axis("cube").rename_axis(columns=None).reset_index()
    return turned.assign(cube=turned["cube"].str.removesuffix(" (1)"))


def _cube(cube: str, names: dict[str, str]) -> Markup:
    short = names.get(cube, cube)
    return Markup('<span title="{}">{}</span>').format(cube, short)


def draw_figure(one: Shown) -> Markup:
    """An SVG file as an image inside the page, as wide as it has to be for its letters to be read."""
    svg = one.figure.with_suffix(".svg").read_text(encoding="utf-8")
    points = re.findall(r'(?:width|height)="([\d.]+)pt"', svg)[:2]
    width, height = (PIXELS_OF_A_POINT * float(length) for length in points)
    source = "data:image/svg+xml," + quote(re.sub(r">\s+<", "><", svg), safe=" !$&'()*+,-./:;<=>?@[]^_`{|}~")
    return Markup('<img src="{}" alt="{}" width="{:.0f}" height="{:.0f}">').format(source, one.caption, width, height)
