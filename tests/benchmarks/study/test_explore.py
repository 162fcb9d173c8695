import tomllib

import numpy as np
import pytest

from benchmarks.codecs import registry
from benchmarks.study import explore
from lhic.errors import UsageError
from lhic.explore import coding
from tests.common import REPOSITORY


def test_the_entry_point_of_the_project_offers_every_codec():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["entry-points"][coding.GROUP] == {"study": f"{explore.__name__}:{explore.codecs.__name__}"}
    assert list(explore.codecs()) == list(registry.factories())


def test_codecs_can_be_chosen_and_the_first_two_are_shown_first(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(240, dtype=np.int16).reshape(4, 6, 10))
    shown = explore.explorer("corpus", tmp_path, names=["lerc", "ccsds123-p15", "aec-bands"])
    assert (shown.first.value, shown.second.value) == ("lerc", "ccsds123-p15")
    assert list(shown.first.options) == ["aec-bands", "ccsds123-p15", "lerc"]
    assert shown.wait(120) and "<b>lerc</b> does not say" in shown.notice.object
    assert "ccsds123-p15, mean" in shown.bits_by_band.plot.legend[0].items[3].label["value"]
    assert explore.explorer("corpus", tmp_path, names=["lerc"]).second.value == "lerc"
    with pytest.raises(UsageError, match="found 'lercc'"):
        explore.explorer("corpus", tmp_path, names=["lercc"])
