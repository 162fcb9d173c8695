"""Numbers in documents are those of the committed results."""

import pytest
from matplotlib.figure import Figure

from benchmarks.exhibits import figures
from benchmarks.exhibits.documents import filled, update
from lhic.errors import UsageError


def test_documents_show_the_committed_tables():
    update(check=True)


def test_tables_replace_what_stands_between_the_marks(tmp_path):
    (tmp_path / "t.md").write_text("| a |\n|---|\n| 1 |\n")
    text = "before\n<!-- table: t.md -->\nold\n<!-- end of table -->\nafter\n"
    current = filled(text, tmp_path)
    assert current == "before\n<!-- table: t.md -->\n\n| a |\n|---|\n| 1 |\n\n<!-- end of table -->\nafter\n"
    assert filled(current, tmp_path) == current
    with pytest.raises(UsageError, match=r"gone\.md"):
        filled(text.replace("t.md", "gone.md"), tmp_path)


def test_figures_bring_their_captions(tmp_path):
    figures.save_figure(Figure(figsize=(1, 1)), tmp_path, "f", "Rates of 3 cubes.")
    current = filled("a\n<!-- figure: f.svg -->\n<!-- end of figure -->\nb\n", tmp_path)
    assert current == "a\n<!-- figure: f.svg -->\n\n![f](f.svg)\n\nRates of 3 cubes.\n\n<!-- end of figure -->\nb\n"
    assert filled(current, tmp_path) == current
    with pytest.raises(UsageError, match=r"gone\.svg: expected a figure"):
        filled(current.replace("figure: f.svg", "figure: gone.svg"), tmp_path)
