import pytest
import torch

from danet.errors import ConfigError
from danet.noise.sampling import check_draws
from danet.pretrained.latent import NormalRows

SIZES = [(1, 1), (3, 5), (4, 4), (1, 17), (5, 7), (16, 16), (37, 53), (101, 3), (64, 33)]


def whole(size: tuple[int, int], seed: int = 5) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [1, 2, 7, 64])
@pytest.mark.parametrize("part", [16, 2**20])
def test_rows_are_those_of_the_whole(
    size: tuple[int, int], step: int, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NormalRows, "_PART", part)
    expected, rows = whole(size), NormalRows(5, size)
    for start in range(0, size[0], step):
        # As tiles do, each reaches back over the one before.
        first, stop = max(start - 3, 0), min(start + step, size[0])
        assert torch.equal(rows.rows(first, stop), expected[first:stop])
    assert torch.equal(rows.rows(0, 1), expected[:1])
    assert torch.equal(rows.rows(size[0] - 1, size[0]), expected[-1:])


def test_no_more_is_held_than_asked_for() -> None:
    rows = NormalRows(5, (4000, 1000))
    rows.rows(3000, 3010)
    assert rows._held.untyped_storage().nbytes() < 4 * (2**20 + 20_000)
    rows.rows(3005, 3015)
    assert rows._held.untyped_storage().nbytes() < 4 * 40_000


def test_bad_number_or_seed_is_an_error() -> None:
    for n, seed in [(0, 1), (1, -1)]:
        with pytest.raises(ConfigError, match=r"n is 0|seed is -1"):
            check_draws(n, seed)
