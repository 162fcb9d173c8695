"""LineRWKV: the published predictions, streams that come back whatever wrote them, and what is refused."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lhic
from lhic.errors import BackendError, CheckpointError, CorruptStreamError, InvalidCubeError, UsageError
from lhic.families.family import Work
from lhic.families.linerwkv import coding
from lhic.families.linerwkv.conformance import run_linerwkv
from lhic.families.linerwkv.parameters import CODERS
from lhic.families.linerwkv.published import import_linerwkv
from lhic.families.linerwkv.side import Side
from lhic.families.registry import load_model
from lhic.families.weights import load_weights, save_weights
from tests.common import shared_path
from tests.families.linerwkv.common import TINY, random_state, tiny_weights


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "linerwkv-tiny.safetensors"
    save_weights(path, tiny_weights())
    return load_model(path)


def check(cube, model, coder):
    stream = lhic.encode(cube, model, coder=coder, threads=1, fallback=False)
    again = lhic.decode(stream, model=model, threads=1)
    assert again.dtype == cube.dtype and np.array_equal(again, cube)
    return stream


def smooth(shape, dtype="int16", seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 4, shape).cumsum(0).cumsum(2).round().astype(dtype)


# --- the network ---


def test_predictions_are_the_published_ones(tmp_path, monkeypatch):
    """By the two smaller sizes; ``invoke conformance --suite linerwkv`` runs all four."""
    monkeypatch.setenv("LHIC_THREADS", "1")
    for name in ("linerwkv-xs.safetensors", "linerwkv-s.safetensors", "ocean_io.npz", "land_io.npz"):
        (tmp_path / name).symlink_to(shared_path("golden", "linerwkv", name))
    rows = run_linerwkv(tmp_path)
    assert len(rows) == 4 and all(row.conforms for row in rows), "\n".join(map(str, rows))


def test_lines_together_and_one_by_one_predict_alike(model, monkeypatch):
    """What the margin of near ties has to cover."""
    cube = smooth((5, 40, 9))
    side = Side.of(cube)
    with torch.inference_mode():
        together = np.concatenate([lines for _, lines in model.predictions(cube, side)])
        monkeypatch.setattr(coding, "PICTURE_BYTES", 1)
        alone = np.concatenate([lines for _, lines in model.predictions(cube, side)])
    assert together.shape == (39, 5, 9) and np.abs(together - alone).max() < 1e-10


def test_published_weights_code_an_ocean(tmp_path):
    """Our coder takes less than the authors' does."""
    with np.load(shared_path("golden", "linerwkv", "ocean_io.npz")) as file:
        cube = file["cube"][:, :20].astype("int16")
    import_linerwkv(shared_path("golden", "linerwkv", "linerwkv-xs.safetensors"), tmp_path / "xs.safetensors")
    model = load_model(tmp_path / "xs.safetensors")
    ours, theirs = (len(check(cube, model, coder)) for coder in CODERS)
    assert ours < 0.97 * theirs < 0.5 * cube.nbytes


# --- streams ---


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize(
    "cube",
    [
        np.full((1, 1, 1), -7, "int8"),
        smooth((3, 1, 7)),
        smooth((2, 35, 1), "int32"),
        smooth((1, 17, 20)),
        np.zeros((3, 18, 5), "uint16"),  # deviations of 0
        np.random.default_rng(1).integers(0, 65536, (2, 18, 5)).astype("uint16"),
        np.where(np.indices((3, 20, 6))[1] == 16, 5, smooth((3, 20, 6))).astype("int16"),  # a constant line in 16
        smooth((2, 3, 4)).astype(">i2"),
    ],
    ids=["one", "a line", "a column", "a band", "constant", "noise", "constant line", "big-endian"],
)
def test_round_trip(model, cube, coder):
    check(cube, model, coder)


@pytest.mark.parametrize("coder", CODERS)
def test_several_tiles(model, coder, monkeypatch):
    monkeypatch.setattr(coding, "TILE", 16)
    cube = smooth((3, 20, 37))
    stream = check(cube, model, coder)
    info = lhic.inspect(stream)
    assert info["n_tiles"] == 6 and info["parameters"] == {"coder": coder}
    assert np.array_equal(lhic.decode_tile(stream, 4, model=model), cube[:, 16:, 16:32])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 18), st.integers(1, 6), st.integers(1, 30_000))
def test_any_cube_comes_back(seed, s, h, w, size):
    model = coding.load("tiny", TINY.to_dict(), tiny_weights().tensors, tiny_weights().sha256)
    cube = np.random.default_rng(seed).integers(-size, size, (s, h, w), endpoint=True).astype("int16")
    for coder in CODERS:
        check(cube, model, coder)


def test_the_bytes_do_not_depend_on_threads(model):
    cube = smooth((4, 40, 30))
    streams = {lhic.encode(cube, model, threads=threads, fallback=False) for threads in (1, 2)}
    assert len(streams) == 1 and np.array_equal(lhic.decode(streams.pop(), model=model, threads=1), cube)


def test_a_near_tie_is_decoded_as_it_was_rounded(model, monkeypatch):
    """A decoder whose predictions are off by less than the margin reads the same samples."""
    cube = smooth((3, 24, 8))
    stream = lhic.encode(cube, model, fallback=False)
    plain = coding._coordinates
    rng = np.random.default_rng(0)
    shift = 2.0**-20 * 0.9
    monkeypatch.setattr(coding, "_coordinates", lambda p, bits: plain(p, bits) + rng.uniform(-shift, shift, p.size))
    assert np.array_equal(lhic.decode(stream, model=model), cube)


def test_progress_tells_each_sample_once(model):
    cube, ticks = smooth((3, 20, 7)), []
    stream = lhic.encode(cube, model, progress=ticks.append, fallback=False)
    assert sum(ticks) == cube.size
    ticks.clear()
    lhic.decode(stream, model=model, progress=ticks.append)
    assert sum(ticks) == cube.size


# --- what is refused ---


def test_a_wide_range_is_refused(model):
    cube = np.array([0, 70_000], "int32").reshape(1, 1, 2)
    with pytest.raises(InvalidCubeError, match=r"at most 65536 values, found 0 \.\. 70000"):
        lhic.encode(cube, model)


def test_unknown_options_and_devices(model):
    cube = smooth((1, 2, 3))
    with pytest.raises(UsageError, match="expected coder, the only option"):
        lhic.encode(cube, model, param_d=3)
    with pytest.raises(UsageError, match="expected one of mixture, ccsds123, found 'zip'"):
        lhic.encode(cube, model, coder="zip")
    with pytest.raises(BackendError, match="expected cpu"):
        coding.load("tiny", TINY.to_dict(), tiny_weights().tensors, b"", "cuda")


@pytest.mark.parametrize("coder", CODERS)
def test_damaged_sections_are_told(model, coder):
    cube = smooth((3, 20, 6))
    work, parameters = Work(), bytes([CODERS.index(coder)])
    (encoded,) = model.encode_tiles([cube], parameters, work)
    for number in range(3):
        for damage in (lambda b: b[:-1], lambda b: b + b"\x01", lambda b: b"\xff" * len(b), lambda b: b""):
            sections = list(encoded.sections)
            if damage(sections[number]) == sections[number]:
                continue
            sections[number] = damage(sections[number])
            try:
                (found,) = model.decode_tiles([cube.shape], cube.dtype, [sections], parameters, work)
            except CorruptStreamError:
                continue
            assert found.shape == cube.shape and number == 1  # the coder of CCSDS-123 has no end of its own


# --- importing ---


def test_names_and_values_survive(tmp_path):
    torch.save(random_state(), tmp_path / "rwkv-final.pth")
    weights = import_linerwkv(tmp_path / "rwkv-final.pth", tmp_path / "out.safetensors")
    stored = load_weights(tmp_path / "out.safetensors")
    assert (stored.name, stored.family, stored.config) == ("out", "linerwkv", TINY.to_dict())
    assert stored.sha256 == weights.sha256
    assert all(np.array_equal(stored.tensors[key], value.numpy()) for key, value in random_state().items())
    with pytest.raises(UsageError, match="--force"):
        import_linerwkv(tmp_path / "rwkv-final.pth", tmp_path / "out.safetensors")


class Code:
    def __reduce__(self):
        return print, ("executed",)


def test_other_checkpoints_are_refused_and_nothing_is_written(tmp_path, capsys):
    path, out = tmp_path / "rwkv-final.pth", tmp_path / "out.safetensors"
    state = random_state()
    cases = [
        (pickle.dumps(Code()), "expected a file of tensors"),
        ({"encoder.conv_in.weight": torch.zeros(3)}, "expected those of LineRWKV"),
        ({key: value for key, value in state.items() if key != "decoder.conv_out.bias"}, "decoder.conv_out.bias"),
        ({**state, "extra": torch.zeros(1)}, "extra"),
        ({**state, "decoder.conv_out.bias": torch.full((1,), torch.nan)}, "expected finite numbers"),
    ]
    for content, message in cases:
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
        with pytest.raises(CheckpointError, match=message):
            import_linerwkv(path, out)
        assert not out.exists()
    assert "executed" not in capsys.readouterr().out
