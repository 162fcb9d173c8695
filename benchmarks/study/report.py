"""The report of a study: numbered tables and figures in one HTML file and one Markdown file.

Everything that rows can give is computed from them anew; what else the notebooks left in the results folder, and gave
a caption, is collected behind it.  Nothing is measured, and the same rows give the same files.  The HTML holds its
figures; the Markdown names the PDFs beside it, so that ``pandoc report.md -o report.pdf`` sets it in print.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from IPython.display import Markdown
from markdown_it import MarkdownIt

from benchmarks.exhibits import catalogue, figures, seen, statistics, tables
from benchmarks.exhibits.catalogue import Exhibit
from benchmarks.measure.files import write_file
from benchmarks.measure.provenance import REPOSITORY
from benchmarks.measure.rows import has_rows, read_rows
from benchmarks.study.parameters import notebooks_of
from lhic import list_models
from lhic.errors import DatasetError

# What these notebooks show comes from the same rows, so the report computes it anew, with their parameters.
NOTEBOOKS_OF_ROWS = ("02_bitrate", "03_baselines")
LAYOUT = """body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 sans-serif; color: #111 }
table { border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto }
th, td { padding: 2px 8px; border-bottom: 1px solid #ddd; white-space: nowrap } th { border-bottom-color: #111 }
img { display: block; max-width: 100%; margin: 1.5rem 0 0.5rem } code { font-size: 90%; overflow-wrap: anywhere }
@media print { body { max-width: none } table, img { break-inside: avoid; overflow: visible } }"""


COMMITTED = "results/small"  # the study that the README shows
GUTTER = 3  # between the columns of a printed table, in characters


@dataclass(frozen=True)
class Numbered:
    """An exhibit as the report shows it.

    content : Markdown of a table, or path of a figure without its suffix
    source : rows, code and command behind it
    """

    name: str
    is_table: bool
    content: str | Path
    caption: str
    source: str


def build(profile: str) -> list[Path]:
    """Write the report of ``results/<profile>``; returns its two files.

    Raises
    ------
    DatasetError
        There are no rows of that profile.
    """
    return build_from(REPOSITORY / "results" / profile)


def build_from(folder: Path, source: Path | None = None) -> list[Path]:
    """As `build`, for any results folder; with the rows and settings of another one, `source`, where it is given."""
    source = source or folder
    rows = seen.noted(read_rows(source))
    reads = f"rows: `{_shown(source / 'rows')}` ({len(rows)})"
    sections = []
    made: set[tuple[str, bool]] = set()
    for title, text, shown in from_rows(rows, _settings(source)):
        for exhibit in shown:
            exhibit.write(folder)
        made |= {(exhibit.name, exhibit.is_table) for exhibit in shown}
        found = [
            _numbered(exhibit, folder, f"{reads}; code: `{exhibit.code}`; {_command(source)}") for exhibit in shown
        ]
        sections.append((title, text, found))
    sections.extend(_from_notebooks(folder, made))

    title = f"lhic: report of {_shown(folder)}"
    body = render([(section, text, found) for section, text, found in sections if found], folder / "report")
    body = f"{_opening(rows)}\n\n{body}\n{provenance_text(rows, source / 'rows')}"
    front = f'---\ntitle: "{title}"\ngeometry: margin=2cm\nfontsize: 9pt\n---\n\n'
    files = {"report.md": front + body, "report.html": to_html(title, body, folder / "report")}
    for name, content in files.items():
        write_file(folder / "report" / name, content)
    return [folder / "report" / name for name in files]


def from_rows(rows: pd.DataFrame, settings: dict) -> Iterator[tuple[str, str, list[Exhibit]]]:
    """Sections that need nothing but rows: title, opening sentence, exhibits.

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

    yield (
        "Rate and speed",
        "",
        [
            catalogue.rate_table(rows),
            catalogue.rate_figure(rows),
            catalogue.rate_speed_figure(headline),
        ],
    )
    if 0 < len(seen.unseen_only(rows)) < len(rows):
        text = "Above, the weights of some codecs have seen some of the cubes. Here they have seen none."
        yield "Unseen cubes", text, [catalogue.unseen_table(rows)]

    compared = [catalogue.paired_table(one_form, reference), catalogue.paired_figure(one_form, reference)]
    for form, other in rows.groupby("form"):
        if form != one_form["form"].iloc[0] and reference in tables.complete_means(other):
            compared.append(catalogue.paired_table(other, reference, name=f"paired_{form}"))
    if n_cubes > 1:
        compared.append(catalogue.win_table(one_form))
    text = f"Every codec against `{reference}` on the same cubes: differences of single cubes, not of means."
    yield "Differences between codecs", text, compared

    groups = []
    for column, table in (("sensor", one_form), ("tile", _with_tiles(one_form))):
        if table[column].nunique() > 1:
            groups += [catalogue.group_table(table, column), catalogue.group_figure(table, column, reference)]
            groups.append(catalogue.paired_table(_best(table, reference), reference, by=column))
    groups += [catalogue.group_table(one_form, "cube")] if 1 < n_cubes <= 20 else []
    yield "By sensor and tile", "", groups

    gains = catalogue.gain_table(one_form, baselines.get("spectral_pairs", ()), baselines.get("water_cubes", ()))
    if len(gains.body):
        yield "Spectral prediction", "", [gains, catalogue.gain_figure(gains)]

    text = "What coding the test part of the hard split would take, extrapolated from the rows."
    yield "Cost of HySpecNet-11k", text, [catalogue.cost_table(one_form)]
    if len(tables.error_table(rows)):
        yield "What did not work", "", [catalogue.error_table(rows)]


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


def source_of(folder: Path) -> Path:
    """The results folder whose rows a notebook reads: its own, or the committed small study where it has none yet."""
    return folder if has_rows(folder) else REPOSITORY / COMMITTED


def _settings(folder: Path) -> dict:
    path = folder / "environment.json"
    if not path.is_file():
        return {}
    return json.loads(path.read_text(encoding="utf-8")).get("parameters", {})


def _command(folder: Path) -> str:
    """What makes the report again."""
    results = REPOSITORY / "results"
    if not folder.is_relative_to(results):
        return "`benchmarks.study.report.build_from`"
    return f"`invoke report --profile {folder.relative_to(results).as_posix()}`"


def _shown(path: Path) -> str:
    return str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else path.name  # it is published


def _numbered(exhibit: Exhibit, folder: Path, source: str) -> Numbered:
    content = tables.to_markdown(exhibit.body) if exhibit.is_table else folder / "figures" / exhibit.name
    return Numbered(exhibit.name, exhibit.is_table, content, exhibit.caption, source)


def _from_notebooks(folder: Path, made: set[tuple[str, bool]]) -> list[tuple[str, str, list[Numbered]]]:
    """Tables and figures with a caption that notebooks wrote and rows alone do not give, by notebook."""
    sections = []
    for notebook in notebooks_of():
        if notebook.stem in NOTEBOOKS_OF_ROWS:
            continue
        script = notebook.with_suffix(".py")
        text = script.read_text(encoding="utf-8")
        executed = folder / "notebooks" / notebook.name
        source = f"code: `notebooks/{script.name}`" + (f"; executed: `{_shown(executed)}`" if executed.exists() else "")
        found = []
        for path in [*sorted(folder.glob("tables/*.md")), *sorted(folder.glob("figures/*.png"))]:
            is_table = path.suffix == ".md"
            # As an argument: other texts of that name, such as the parameter `param_d`, do not make an exhibit.
            if (path.stem, is_table) in made or not re.search(rf'[,(]\s*"{path.stem}"\s*[,)]', text):
                continue
            content, caption = _split_table(path) if is_table else (path.with_suffix(""), figures.read_caption(path))
            if caption:
                made.add((path.stem, is_table))
                found.append(Numbered(path.stem, is_table, content, caption, source))
        sections.append((_title(text, script.stem), "", found))
    return sections


def _split_table(path: Path) -> tuple[str, str]:
    """Table and caption of a file of `tables.write_table`."""
    table, _, caption = path.read_text(encoding="utf-8").strip().partition("\n\n")
    return table + "\n", caption


def _title(script: str, default: str) -> str:
    found = re.search(r"^# # (.+)$", script, re.MULTILINE)
    return found[1] if found else default


def render(sections: Sequence[tuple[str, str, Sequence[Numbered]]], folder: Path) -> str:
    """Markdown of the sections with tables and figures numbered through; links are relative to `folder`."""
    lines: list[str] = []
    counts = {"Table": 0, "Figure": 0}
    for i, (title, text, shown) in enumerate(sections, 1):
        lines += [f"## {i}. {title}", ""]
        lines += [text, ""] if text else []
        for exhibit in shown:
            kind = "Table" if exhibit.is_table else "Figure"
            counts[kind] += 1
            about = f"**{kind} {counts[kind]}.** {exhibit.caption} [{exhibit.source}]"
            if exhibit.is_table:
                lines += [with_widths(exhibit.content), about, ""]
            else:
                path = exhibit.content.relative_to(folder.parent)
                # Two blanks end the line and keep the caption in the paragraph, or pandoc would number it again.
                lines += [f"![{exhibit.name}](../{path}.pdf)  ", about, ""]
    return "\n".join(lines)


def with_widths(table: str) -> str:
    """A GitHub table whose line of dashes says how wide its columns are.

    pandoc makes the columns of wide tables so in print, and all alike if the dashes are.
    """
    lines = table.split("\n")
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("|")]
    if len(rows) < 2:
        return table
    # A header may be broken between words, other cells should not be.
    wide = [
        GUTTER + max([*map(len, head.split()), *(len(cell.strip()) for cell in cells)])
        for head, *cells in zip(rows[0], *rows[2:], strict=True)
    ]
    dashes = ["-" * width + (":" if mark.endswith(":") else "") for width, mark in zip(wide, rows[1], strict=True)]
    lines[lines.index("|" + "|".join(rows[1]) + "|")] = "|" + "|".join(dashes) + "|"
    return "\n".join(lines)


def shown(folder: Path) -> Iterator[Markdown | figures.StoredFigure]:
    """The report of a results folder for a notebook, which cannot show its PDFs: text and figures in turn."""
    text = (folder / "report" / "report.md").read_text(encoding="utf-8")
    body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text, *rest = re.split(r"^!\[[^]]*\]\(([^)]*)\.pdf\) *\n", body, flags=re.MULTILINE)
    yield Markdown(text)
    for path, text in zip(rest[::2], rest[1::2]):
        yield figures.StoredFigure((folder / "report" / f"{path}.png").resolve())
        yield Markdown(text)


def _opening(rows: pd.DataFrame) -> str:
    codecs = tables.good(rows)["codec"].nunique()
    forms = " and ".join(sorted(rows["form"].unique()))
    datasets = ", ".join(sorted(rows["dataset"].unique()))
    return (
        f"{tables.cubes(rows)} of {datasets}, {forms}, coded by {codecs} codecs; {len(rows)} rows measured between "
        f"{rows['date'].min()} and {rows['date'].max()}. Rates count every byte the decoder reads. Means weigh all "
        "cubes alike; `total` is all bits by all samples. What is fair and what is not about each codec is in "
        "`docs/benchmarks.md`."
    )


def provenance_text(rows: pd.DataFrame, path: Path) -> str:
    """Where the rows in the folder `path` come from, as a Markdown list."""
    names = {model.sha256: model.name for model in list_models()}
    weights = sorted(set(rows["weights_hash"]) - {""})
    libraries = [json.loads(text) for text in sorted(set(rows["libraries"]) - {""})]
    entries = {
        "rows": f"`{_shown(path)}`, SHA-256 `{_sha256(path)}`",
        "dataset SHA-256": ", ".join(f"`{found}`" for found in sorted(set(rows["dataset_sha256"]) - {""})),
        "weights": ", ".join(f"{names.get(sha256, 'not found here')} `{sha256}`" for sha256 in weights) or "none",
        "measured with commit": ", ".join(f"`{found}`" for found in sorted(set(rows["commit"]) - {""})),
        "machine": "; ".join(sorted(set(rows["machine"]) - {""})),
        "libraries": "; ".join(", ".join(f"{name} {version}" for name, version in one.items()) for one in libraries),
    }
    lines = [f"* {name}: {entry or 'not recorded'}" for name, entry in entries.items()]
    return "\n".join(["## Provenance", "", *lines, ""])


def _sha256(folder: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("part-*.parquet")))).hexdigest()


def to_html(title: str, body: str, folder: Path) -> str:
    """One HTML page that needs no other file: the Markdown with its figures, read from SVG files, inside."""

    def embed(match: re.Match) -> str:
        svg = (folder / match[1]).resolve().with_suffix(".svg")
        return f'src="data:image/svg+xml;base64,{base64.b64encode(svg.read_bytes()).decode()}"'

    page = MarkdownIt("commonmark", {"html": False}).enable("table").render(body)
    page = re.sub(r'src="([^"]+\.pdf)"', embed, page)
    title = html.escape(title)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{LAYOUT}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body><h1>{title}</h1>\n{page}</body></html>\n'
