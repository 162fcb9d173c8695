"""Numbers in documents are those of the committed results."""

import pytest

from benchmarks.documents import update, with_tables
from lhic.errors import UsageError


def test_documents_show_the_committed_tables():
    update(check=True)


def test_tables_replace_what_stands_between_the_marks(tmp_path):
    (tmp_path / "t.md").write_text("| a |\n|---|\n| 1 |\n")
    text = "before\n<!-- table: t.md -->\nold\n<!-- end of table -->\nafter\n"
    filled = with_tables(text, tmp_path)
    assert filled == "before\n<!-- table: t.md -->\n\n| a |\n|---|\n| 1 |\n\n<!-- end of table -->\nafter\n"
    assert with_tables(filled, tmp_path) == filled
    with pytest.raises(UsageError, match=r"gone\.md"):
        with_tables(text.replace("t.md", "gone.md"), tmp_path)
