"""Products of matrices against float64, whichever way they are cut, with and without BLAS's small kernels."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.backends.cpu import blas

SHAPES = [  # m, k, n
    (5, 7, 3),
    (784, 256, 1024),  # cut by columns
    (1600, 700, 40),  # by rows
    (2048, 64, 64),  # in tiles
    (2500, 100, 70),  # in tiles, with columns and rows left over
    (2500, 27, 9),
    (64, 50_000, 147),  # long sums
    (64, 40_000, 256),
    (1, 9_000_000, 1),
    (8, 4099, 1001),  # few rows: in parts, with pieces and columns left over
    (61, 1000, 129),
    (16, 70_000, 24),  # so long that tiles are lower
    (2, 300_000, 9),
    (5, 2077, 2050),  # a large weight: in parts of its rows
    (1003, 16, 700),  # few terms
    (2050, 30, 515),
    (2100, 1, 1005),
]


@pytest.fixture(params=[False, True], ids=["packed", "small"])
def small(request, monkeypatch):
    """Whether BLAS is taken to have kernels for small matrices; either way it computes the same."""
    monkeypatch.setattr(blas, "has_small_kernels", lambda dtype: request.param and dtype == np.float32)
    return request.param


def draw(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5 * max(1e-3, np.abs(expected).max()))


@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("shape", SHAPES)
def test_product(shape, transposed, small):
    m, k, n = shape
    rng = np.random.default_rng(0)
    a = draw(rng, k, m).T if transposed[0] else draw(rng, m, k)
    b = draw(rng, n, k).T if transposed[1] else draw(rng, k, n)
    out = np.full((m, n), np.nan, np.float32)
    assert blas.product(a, b, out) is out
    close(out, a.astype(np.float64) @ b.astype(np.float64))


def test_product_of_rows_with_gaps(small):
    rng = np.random.default_rng(0)
    a, b = draw(rng, 3000, 96)[:, 16:80], draw(rng, 64, 128)
    close(blas.product(a, b, np.empty((3000, 128), np.float32)), a.astype(np.float64) @ b)


@pytest.mark.parametrize("matrices", [None, 3])
@pytest.mark.parametrize(("rows", "k", "n"), [(7, 5, 4), (300, 64, 128), (100, 48, 100), (50, 2500, 64)])
def test_panels(matrices, rows, k, n, small):
    rng = np.random.default_rng(0)
    b = draw(rng, k, n) if matrices is None else draw(rng, matrices, k, n)
    a = draw(rng, 3, rows, k)
    out = np.full((3, rows, n + 5), np.nan, np.float32)
    blas.Panels(b).multiply(a, out[..., :n])
    close(out[..., :n], a.astype(np.float64) @ b.astype(np.float64))
    assert np.isnan(out[..., n:]).all()


@pytest.mark.parametrize(("m", "k", "n"), [(16, 3000, 48), (64, 1000, 64), (32, 977, 288), (128, 100, 512), (6, 20, 25)])
def test_sums(m, k, n, small):
    rng = np.random.default_rng(0)
    a, b = draw(rng, k, m), draw(rng, k, n)
    out = np.full((m, n), np.nan, np.float32)
    blas.sum_of_tiles(a.T, b, out)
    close(out, a.T.astype(np.float64) @ b)
    many = blas.sums_of_products(np.stack([a, a[::-1]]), np.stack([b, b]))
    close(many[0], a.T.astype(np.float64) @ b)
    close(many[1], a[::-1].T.astype(np.float64) @ b)
    stacked = np.full((2, m, n), np.nan, np.float32)
    blas.stacked_sums(np.stack([a, a[::-1]]), np.stack([b, b]), stacked)
    close(stacked, many)


@pytest.mark.parametrize(("m", "k", "n"), [(64, 196, 128), (128, 400, 96), (192, 40, 64)])
def test_stacked_sums_in_tiles(m, k, n, small):
    rng = np.random.default_rng(0)
    a, b, out = draw(rng, 3, k, m), draw(rng, 3, k, n), np.full((3, m, n), np.nan, np.float32)
    blas.stacked_sums(a, b, out)
    close(out, a.astype(np.float64).transpose(0, 2, 1) @ b)


@pytest.mark.parametrize(("shape", "dims"), [((3, 3, 16, 100), 3), ((2, 5, 8, 64), 2), ((40, 70), 1)])
def test_panels_of_weights_in_another_order_of_memory(shape, dims, small):
    rng = np.random.default_rng(0)
    b = draw(rng, *shape[::-1]).transpose()
    matrices = b.reshape(*shape[: -1 - dims], -1, shape[-1])
    G, k, n = matrices.shape if matrices.ndim == 3 else (1, *matrices.shape)
    a, out = draw(rng, G, 90, k), np.full((G, 90, n), np.nan, np.float32)
    panels = blas.Panels(b, dims)
    panels.multiply(a, out)
    close(out, a.astype(np.float64) @ matrices)
    tiles = np.full((G, 5, 18, n), np.nan, np.float32)
    panels.multiply_tiles(a.reshape(G, 5, 18, k), tiles)
    close(tiles.reshape(out.shape), out)
