"""The CPU's optimizer steps against the plain ones: cutting arrays into blocks changes nothing."""

import numpy as np
import pytest

from minigrad.backends.cpu import optimizer as cpu
from minigrad.backends.cpu.optimizer import CPUOptimizerKernels
from minigrad.backends.generic.optimizer import OptimizerKernels


class Plain(OptimizerKernels):
    xp = np


class Tuned(CPUOptimizerKernels):
    xp = np


SHAPES = [(7, 5), (100, 3), (1, 40), (33,), (), (0, 4), (5, 2, 3, 3)]
# kernel, number of states, which of them are absent, whether it takes steps, options
CALLS = [
    ("sgd_step", 1, [0], False, {"momentum": 0, "dampening": 0, "nesterov": False, "maximize": False}),
    ("sgd_step", 1, [], False, {"momentum": 0.9, "dampening": 0.1, "nesterov": False, "maximize": True}),
    ("sgd_step", 1, [], False, {"momentum": 0.9, "dampening": 0, "nesterov": True, "maximize": False}),
    ("adam_step", 3, [], True, {"beta1": 0.9, "beta2": 0.99, "eps": 0.1, "decoupled": False, "maximize": True}),
    ("adam_step", 3, [2], True, {"beta1": 0.9, "beta2": 0.99, "eps": 0.1, "decoupled": True, "maximize": False}),
    ("lion_step", 1, [], False, {"beta1": 0.9, "beta2": 0.99, "maximize": False}),
    ("rmsprop_step", 3, [], False, {"alpha": 0.9, "eps": 0.1, "momentum": 0.5, "maximize": False}),
    ("rmsprop_step", 3, [1, 2], False, {"alpha": 0.9, "eps": 0.1, "momentum": 0, "maximize": True}),
    ("adagrad_step", 1, [], True, {"lr_decay": 0.1, "eps": 0.1, "maximize": False}),
]


def arguments(states, absent, steps, order):
    rng = np.random.default_rng(0)
    # positive, with the middle one of three states small: a centered variance must have a square root
    columns = [[np.array(rng.uniform(0.1, 1, size=s), order=order) for s in SHAPES] for _ in range(2 + states)]
    if states == 3:
        columns[3] = [array * 0.1 for array in columns[3]]
    columns = [[] if i - 2 in absent else column for i, column in enumerate(columns)]
    return [*columns, [float(i + 1) for i in range(len(SHAPES))]] if steps else columns


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("kernel", "states", "absent", "steps", "options"), CALLS)
def test_blocks_change_nothing(monkeypatch, kernel, states, absent, steps, options, order):
    monkeypatch.setattr(cpu, "BLOCK", 8)
    plain, tuned = arguments(states, absent, steps, order), arguments(states, absent, steps, order)
    assert len(cpu.in_blocks(tuned)[0]) > 2 * len(SHAPES)
    getattr(Plain(), kernel)(*plain, lr=0.1, weight_decay=0.1, **options)
    getattr(Tuned(), kernel)(*tuned, lr=0.1, weight_decay=0.1, **options)
    untouched = arguments(states, absent, steps, order)
    for i, (expected, found, before) in enumerate(zip(plain, tuned, untouched, strict=True)):
        for a, b, c in zip(expected, found, before, strict=True):
            np.testing.assert_array_equal(a, b)
            if i == 1:
                np.testing.assert_array_equal(a, c)
            elif i == 0 and a.size:
                assert not np.array_equal(a, c)


def test_blocks_are_views_that_cover_the_arrays_once():
    param = np.zeros((1000, 1000), np.float32)
    blocks, numbers, empty = cpu.in_blocks([[param], [3.0], []])
    for block in blocks:
        assert block.size <= cpu.BLOCK
        block += 1
    assert (param == 1).all()
    assert numbers == [3.0] * len(blocks)
    assert empty == []


def test_small_arrays_are_left_as_they_are():
    columns = ([np.zeros(3)], [np.ones(3)], [])
    assert cpu.in_blocks(columns) is columns
