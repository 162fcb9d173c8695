"""The coding path: exact round trips across engines, groups, subsets and last-bit differences; damage is told."""

import dataclasses

import numpy as np
import pytest
import torch

import lhic
from lhic.errors import CheckpointError, CorruptStreamError, UsageError
from lhic.families.bp import SECTION_NAMES, describe_parameters
from lhic.families.bp.coding import choose_offset, load, precision_of
from lhic.families.bp.engines import CompiledEngine, TorchEngine
from lhic.families.bp.quantise import grid_transform
from lhic.families.bp.wavefront import WavefrontMixture
from lhic.families.family import Work
from lhic.families.near_ties import MARGIN
from lhic.stream.tiles import TileGrid
from tests.common import coded, cubes_by_intent
from tests.families.bp.common import UNEVEN, random_model, random_samples


@pytest.fixture(scope="module")
def model():
    return random_model()


def cut(cube):
    return [np.ascontiguousarray(cube[tile.window]) for tile in TileGrid(*cube.shape[1:], 32, 32)]


def encode(model, cube, n_threads=1, **options):
    """Parameters and sections of a cube's tiles."""
    cube = np.ascontiguousarray(cube, cube.dtype.newbyteorder("="))
    ticks = []
    work = Work(ticks.append, n_threads)
    parameters = model.plan(cube, work, **options)
    sections = coded(model, cut(cube), parameters, work)
    assert sum(ticks) == cube.size
    return parameters, sections


def check_decodes(model, cube, parameters, sections, n_threads=1):
    cube = np.ascontiguousarray(cube, cube.dtype.newbyteorder("="))
    tiles, ticks = cut(cube), []
    found = model.decode_tiles(
        [t.shape for t in tiles], cube.dtype, sections, parameters, Work(ticks.append, n_threads)
    )
    assert sum(ticks) == cube.size
    for a, b in zip(found, tiles, strict=True):
        assert a.dtype == b.dtype and np.array_equal(a, b)


@pytest.mark.parametrize("name", cubes_by_intent())
def test_round_trip(model, name):
    cube = cubes_by_intent()[name]
    parameters, sections = encode(model, cube)
    assert (parameters, sections) == encode(model, cube)
    assert all(len(own) == len(SECTION_NAMES) for own in sections)
    check_decodes(model, cube, parameters, sections)


@pytest.fixture(scope="module")
def ragged():
    """Four tiles, three of them partial, one sample in a hundred beyond what the networks code."""
    cube = random_samples((4, 41, 45)).astype("int16")
    rng = np.random.default_rng(5)
    cube[rng.random(cube.shape) < 0.01] = -77
    cube[rng.random(cube.shape) < 0.01] = 20000
    return cube


@pytest.fixture(scope="module")
def ragged_coded(model, ragged):
    return encode(model, ragged)


def test_through_the_stream(model, ragged):
    stream = lhic.encode(ragged, model, fallback=False)
    assert stream == lhic.encode(ragged, model, fallback=False)
    assert np.array_equal(lhic.decode(stream, model=model), ragged)
    assert np.array_equal(lhic.decode_tile(stream, 3, model=model), ragged[:, 32:, 32:])
    found = lhic.inspect(stream)
    assert (found["family"], found["section_names"]) == ("lhic-bp", list(SECTION_NAMES))
    assert found["parameters"] == {"param_d": 8, "offset": 0}
    with pytest.raises(CorruptStreamError):
        lhic.decode(stream[:-9] + bytes([stream[-9] ^ 1]) + stream[-8:], model=model)


def test_any_subset_in_any_grouping(model, ragged, ragged_coded):
    parameters, sections = ragged_coded
    tiles = cut(ragged)
    for subset in ([3], [2, 0], [1, 2, 3]):
        shapes = [tiles[i].shape for i in subset]
        found = model.decode_tiles(shapes, ragged.dtype, [sections[i] for i in subset], parameters, Work())
        assert all(np.array_equal(a, tiles[i]) for a, i in zip(found, subset, strict=True))


def test_engines_decode_each_other(model, ragged, ragged_coded):
    """The torch engine sums in another order, as another machine would."""
    other = random_model(engine=TorchEngine(torch.device("cpu")))
    parameters, sections = ragged_coded
    check_decodes(other, ragged, parameters, sections)
    assert encode(other, ragged)[0] == parameters
    check_decodes(model, ragged, *encode(other, ragged))


@pytest.mark.parametrize(
    "changes",
    [
        # Band 0's head has no input layer where its features are as wide as it is: msp, then lsp.
        {"dim_msp_spatial": 9, "num_mixture": 2},
        {"dim_params": 15, "max_value": 700, "param_d": 5},
        dict.fromkeys(("N_layers_spatial_msp", "N_layers_plane", "N_layers_params", "N_layers_context"), 0),
    ],
)
def test_other_shapes_of_the_network(changes):
    config = dataclasses.replace(UNEVEN, **changes)
    cube = random_samples((3, 5, 34), high=config.max_value).astype("uint16")
    compiled, other = random_model(config), random_model(config, TorchEngine(torch.device("cpu")))
    check_decodes(other, cube, *encode(compiled, cube))
    check_decodes(compiled, cube, *encode(other, cube))


@pytest.mark.parametrize("n_threads", [1, 3])
def test_threads_do_not_matter(model, ragged, ragged_coded, n_threads):
    assert encode(model, ragged, n_threads) == ragged_coded
    check_decodes(model, ragged, *ragged_coded, n_threads)


def test_decoder_may_be_off_by_half_the_margin(ragged, ragged_coded, monkeypatch):
    """Every mixture parameter of the decoder disturbed by up to MARGIN / 2 grid steps: the same samples."""
    other = random_model(engine=TorchEngine(torch.device("cpu")))
    exact, rng, n_disturbed = WavefrontMixture.parameters, np.random.default_rng(11), 0

    def disturbed(self, diagonal):
        nonlocal n_disturbed
        values = exact(self, diagonal)
        alphabet_size = 256 if hasattr(self.conditions.net, "plane_net") else 40
        factor = torch.from_numpy(np.repeat(grid_transform(alphabet_size)[:, 0], UNEVEN.num_mixture))
        noise = torch.from_numpy(rng.uniform(-1, 1, values.shape))
        n_disturbed += noise.numel()
        return values + noise * (MARGIN / 2) / factor

    monkeypatch.setattr(WavefrontMixture, "parameters", disturbed)
    check_decodes(other, ragged, *ragged_coded)
    assert n_disturbed > 4 * ragged.size * UNEVEN.num_mixture


@pytest.mark.gpu
def test_streams_cross_from_cpu_to_cuda_and_back(model, ragged, ragged_coded):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    cuda = random_model(device="cuda")
    check_decodes(cuda, ragged, *ragged_coded)
    check_decodes(random_model(), ragged, *encode(cuda, ragged))


@pytest.mark.parametrize("param_d", [1, 6, 14, 16])
def test_other_partitions(model, param_d):
    cube = random_samples((2, 6, 9)).astype("uint16")
    parameters, sections = encode(model, cube, param_d=param_d)
    assert describe_parameters(parameters) == {"param_d": param_d, "offset": 0}
    check_decodes(model, cube, parameters, sections)
    assert (sections[0][0] == b"") == (10000 >> param_d == 0)  # a plane of one symbol needs no bytes


def test_options_out_of_range(model):
    cube = np.zeros((1, 1, 1), "uint8")
    for options in ({"param_d": 0}, {"param_d": 17}, {"param_d": "8"}, {"effort": 3}):
        with pytest.raises(UsageError, match=next(iter(options))):
            model.plan(cube, Work(), **options)


def test_empty_bands_and_escapes_are_cheap(model):
    """An all-nodata band costs a few bytes to say so, beyond what the networks spend on its stand-in."""
    cube = random_samples((4, 32, 32)).astype("int16")
    cube[2] = -32768
    _, ((msp, lsp, _, escapes),) = encode(model, cube)
    assert 0 < len(escapes) <= 10
    assert len(msp) and len(lsp)


@pytest.mark.parametrize(
    ("values", "offset"),
    [
        ([0, 10000], 0),
        ([-1, 9999], -1),
        ([-359, 768], -359),
        ([5, 10001], 1),
        ([9990, 10020], 20),
        ([-32768, -32768, 0, 5, 9], 0),
        ([-32768, -32768, -32768, 5, 9], -32768),
        ([-20000, -15000, 3, 4], -20000 + 5000),  # two windows hold two samples each: the one nearer to 0 wins below
        ([2**31 - 1], 2**31 - 1 - 10000),
    ],
)
def test_offset(values, offset):
    cube = np.array(values, "int64").reshape(1, 1, -1)
    found = choose_offset(cube, 10000)
    best = max(np.sum((cube >= o) & (cube <= o + 10000)) for value in values for o in (value, value - 10000))
    assert np.sum((cube >= found) & (cube <= found + 10000)) == best
    if values != [-20000, -15000, 3, 4]:
        assert found == offset
    else:
        assert found == 0


def test_bit_costs_add_up_to_the_sections(model, ragged, ragged_coded):
    costs = model.bit_costs(ragged)
    assert costs.shape == (2, *ragged.shape) and (costs >= 0).all()
    for plane in (0, 1):
        n_bytes = sum(len(own[plane]) for own in ragged_coded[1])
        # each section ends in an 8-byte state, of which the message fills at least some bits
        assert n_bytes - 8 * len(ragged_coded[1]) - 4 <= costs[plane].sum() / 8 <= n_bytes


def test_precision_leaves_room_for_every_symbol():
    for alphabet_size in (2, 40, 256, 4096, 4097, 65536):
        precision = precision_of(alphabet_size)
        assert 20 <= precision <= 24 and alphabet_size <= 1 << (precision - 8)


# --- damage -----------------------------------------------------------------------------------------------------------


def test_cut_sections_are_told(model):
    cube = random_samples((2, 5, 6), high=20000).astype("int32")
    parameters, (sections,) = encode(model, cube)
    for number, section in enumerate(sections):
        for length in {0, 1, len(section) // 2, len(section) - 4, len(section) - 1} & set(range(len(section))):
            damaged = [*sections]
            damaged[number] = section[:length]
            try:
                (found,) = model.decode_tiles([cube.shape], cube.dtype, [damaged], parameters, Work())
            except CorruptStreamError:
                continue
            # Only a cut that leaves a meaningful list may pass here; the stream's checksums stand behind it.
            assert SECTION_NAMES[number] in ("corrections", "escapes") and found.shape == cube.shape


def test_flipped_bytes_never_crash(model):
    cube = random_samples((1, 4, 5), high=20000).astype("int32")
    parameters, (sections,) = encode(model, cube)
    n_told = 0
    for number, section in enumerate(sections):
        for at in range(len(section)):
            damaged = [*sections]
            damaged[number] = section[:at] + bytes([section[at] ^ 0x5A]) + section[at + 1 :]
            try:
                (found,) = model.decode_tiles([cube.shape], cube.dtype, [damaged], parameters, Work())
                assert found.shape == cube.shape and found.dtype == cube.dtype
            except CorruptStreamError:
                n_told += 1
    assert n_told > 0.9 * sum(len(section) for section in sections[:2])


def test_a_value_beyond_the_dtype_is_damage(model):
    parameters, sections = encode(model, np.full((1, 2, 2), 300, "int16"))
    with pytest.raises(CorruptStreamError, match="expected uint8, found"):
        model.decode_tiles([(1, 2, 2)], np.dtype("uint8"), sections, parameters, Work())


@pytest.mark.parametrize("data", [b"", b"\x08", b"\x00\x00", b"\x11\x00", b"\x08\x00\x00", b"\x08" + b"\xff" * 9])
def test_damaged_parameters(model, data):
    with pytest.raises(CorruptStreamError, match="lhic-bp parameters"):
        describe_parameters(data)


def test_tensors_must_fit_the_configuration():
    model = random_model()
    tensors = {
        f"{prefix}.{key}": value.float().numpy()
        for prefix, net in zip(("msp", "lsp"), model.nets)
        for key, value in net.state_dict().items()
    }
    config = UNEVEN.to_dict()
    assert load("m", config, tensors, bytes(32)).settings == UNEVEN
    with pytest.raises(CheckpointError, match=r"msp: tensor param_l0\.conv_in\.weight"):
        load("m", {**config, "dim_msp_spatial": 6, "dim_params": 9}, tensors, bytes(32))
    name = "lsp.param_net.conv_in.bias"
    with pytest.raises(CheckpointError, match=r"param_net\.conv_in\.bias.*none"):
        load("m", config, {key: value for key, value in tensors.items() if key != name}, bytes(32))
    with pytest.raises(CheckpointError, match="finite"):
        load("m", config, {**tensors, name: tensors[name] * np.nan}, bytes(32))
    mask = "msp.spatial_net.conv_in.mask"
    with pytest.raises(CheckpointError, match="causal mask"):
        load("m", config, {**tensors, mask: np.ones_like(tensors[mask])}, bytes(32))
    with pytest.raises(CheckpointError, match="stray"):
        load("m", config, {**tensors, "stray": tensors[name]}, bytes(32))
    with pytest.raises(CheckpointError, match="num_mixture"):
        load("m", {**config, "num_mixture": None}, tensors, bytes(32))


def test_weights_that_give_nan_are_refused():
    broken = random_model()
    broken.nets[0].param_net.conv_in.weight.data[:] = 1e308
    for engine in (CompiledEngine(*broken.nets), TorchEngine(torch.device("cpu"))):
        broken.engine = engine
        with pytest.raises(CheckpointError, match="NaN"):
            encode(broken, random_samples((2, 3, 3)).astype("int16"))
