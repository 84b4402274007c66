"""When forward raises, the message says in which layer."""

import pickle
import traceback

import pytest

import minigrad as mg
from minigrad import nn


class Refusing(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, x):
        raise self.error


class Block(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.conv1 = layer

    def forward(self, x):
        return self.conv1(x)


def deep(error):
    return nn.Sequential(nn.Identity(), Block(nn.Identity()), Block(Block(Refusing(error))))


def test_message_names_the_path_once():
    error = ValueError("conv2d: expected something")
    with pytest.raises(ValueError) as raised:
        deep(error)(1)
    assert raised.value is error
    assert str(error) == "in 2.conv1.conv1 (Refusing): conv2d: expected something"


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, TypeError, IndexError])
def test_ordinary_errors_keep_their_type(kind):
    with pytest.raises(kind, match=r"^in 2\.conv1\.conv1 \(Refusing\): text$"):
        deep(kind("text"))(1)


@pytest.mark.parametrize(
    "error", [KeyError("key"), OSError(2, "no such file"), ZeroDivisionError(), ValueError(1, 2), ValueError(3)]
)
def test_other_errors_keep_their_arguments_and_get_a_note(error):
    args = error.args
    with pytest.raises(type(error)) as raised:
        deep(error)(1)
    assert raised.value.args == args
    assert error.__notes__ == ["in 2.conv1.conv1 (Refusing)"]
    assert "in 2.conv1.conv1 (Refusing)" in "".join(traceback.format_exception(error))


def test_a_layer_alone_adds_nothing():
    with pytest.raises(ValueError, match=r"^text$"):
        Refusing(ValueError("text"))(1)
    with pytest.raises(KeyError) as raised:
        Refusing(KeyError("key"))(1)
    assert not hasattr(raised.value, "__notes__")


def test_a_real_layer():
    model = nn.Sequential(nn.Linear(2, 3), Block(nn.Linear(4, 5)))
    with pytest.raises((RuntimeError, ValueError)) as raised:
        model(mg.ones(1, 2))
    assert str(raised.value).startswith("in 1.conv1 (Linear): linear")


def test_through_containers_that_are_not_called():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Identity(), Refusing(ValueError("text"))])

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    with pytest.raises(ValueError, match=r"^in 0\.layers\.1 \(Refusing\): text$"):
        nn.Sequential(Listed())(1)


def test_a_module_that_is_nowhere_registered_is_covered_by_the_one_that_called_it():
    class Hiding(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = [Block(Refusing(ValueError("text")))]

        def forward(self, x):
            return self.hidden[0](x)

    with pytest.raises(ValueError, match=r"^in 0\.conv1 \(Hiding\): text$"):
        nn.Sequential(Block(Hiding()))(1)


def test_the_same_error_again_is_told_anew():
    error = ValueError("text")
    for _ in range(2):
        with pytest.raises(ValueError) as raised:
            deep(error)(1)
        assert str(raised.value) == "in 2.conv1.conv1 (Refusing): text"
    with pytest.raises(ValueError):
        nn.Sequential(Refusing(error))(1)
    assert str(error) == "in 0 (Refusing): text"
    noted = KeyError("key")
    for model in (deep(noted), nn.Sequential(Refusing(noted))):
        with pytest.raises(KeyError):
            model(1)
    assert noted.__notes__ == ["in 0 (Refusing)"]


def test_a_caught_error_has_the_path_known_so_far():
    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = Block(Refusing(ValueError("text")))

        def forward(self, x):
            try:
                return self.block(x)
            except ValueError as error:
                return str(error)

    assert nn.Sequential(Careful())(1) == "in conv1 (Refusing): text"


def test_errors_in_hooks_count():
    model = nn.Sequential(nn.Identity())

    def hook(module, args):
        raise ValueError("text")

    model[0].register_forward_pre_hook(hook)
    with pytest.raises(ValueError, match=r"^in 0 \(Identity\): text$"):
        model(1)


def test_the_error_can_be_pickled_without_the_network():
    with pytest.raises(ValueError) as raised:
        deep(ValueError("text"))(1)
    data = pickle.dumps(raised.value)
    assert b"Sequential" not in data
    assert str(pickle.loads(data)) == "in 2.conv1.conv1 (Refusing): text"


def test_interrupts_pass_untouched():
    with pytest.raises(KeyboardInterrupt) as raised:
        deep(KeyboardInterrupt())(1)
    assert not hasattr(raised.value, "__notes__")
