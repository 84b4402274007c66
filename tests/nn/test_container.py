import copy

import pytest

import minigrad as mg
from minigrad import nn


class Add(nn.Module):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def forward(self, x):
        return x + self.number


def numbers(container):
    return [module.number for module in container]


class TestSequential:
    def test_calls_one_after_the_other(self):
        assert nn.Sequential(Add(1), Add(10))(0) == 11
        assert nn.Sequential()(5) == 5

    def test_named(self):
        model = nn.Sequential({"first": Add(1), "second": Add(2)})
        assert model.first.number == 1 and model[1] is model.second
        assert [name for name, _ in model.named_children()] == ["first", "second"]

    def test_indices(self):
        model = nn.Sequential(Add(1), Add(2), Add(3))
        assert (model[0].number, model[-1].number, len(model)) == (1, 3, 3)
        model[-1] = Add(5)
        assert numbers(model) == [1, 2, 5]
        for bad in (3, -4):
            with pytest.raises(IndexError, match=r"Sequential: expected an index in \[-3, 2\]"):
                model[bad]
        with pytest.raises(TypeError):
            model["first"]

    def test_slices_share_the_modules_and_keep_the_names(self):
        model = nn.Sequential(Add(1), Add(2), Add(3))
        part = model[1:]
        assert type(part) is nn.Sequential and part[0] is model[1]
        assert list(part._modules) == ["1", "2"]
        assert len(model) == 3
        del model[0:2]
        assert numbers(model) == [3] and list(model._modules) == ["0"]

    def test_a_slice_of_a_subclass_is_one_of_its_kind(self):
        class ConvBlock(nn.Sequential):
            def __init__(self, width):
                super().__init__(Add(width), Add(width + 1))
                self.width = width

            def forward(self, x):
                return super().forward(x) * self.width

        part = ConvBlock(3)[:1]
        assert type(part) is ConvBlock and part(0) == 9

    def test_growing(self):
        model = nn.Sequential(Add(1))
        assert model.append(Add(2)) is model
        assert model.extend([Add(3), Add(4)]) is model
        assert model.insert(0, Add(0)) is model
        model.insert(-1, Add(9))
        assert numbers(model) == [0, 1, 2, 3, 9, 4]
        assert list(model._modules) == [str(i) for i in range(6)]
        assert model.pop(4).number == 9
        assert model.pop().number == 4
        assert numbers(model + [Add(7)]) == [0, 1, 2, 3, 7]
        assert numbers(model) == [0, 1, 2, 3]
        model += nn.Sequential(Add(8))
        assert numbers(model) == [0, 1, 2, 3, 8]
        model.extend(model)
        assert len(model) == 10

    def test_a_list_is_told_to_be_unpacked(self):
        with pytest.raises(TypeError, match=r"Sequential: expected Modules one by one, got a list; unpack it"):
            nn.Sequential([Add(1)])

    def test_only_modules(self):
        with pytest.raises(TypeError, match="expected a Module or None for '0', got a function"):
            nn.Sequential(lambda x: x)
        model = nn.Sequential(Add(1))
        with pytest.raises(TypeError):
            model.insert(0, 3)
        assert numbers(model) == [1]


class TestModuleList:
    def test_is_a_list(self):
        layers = nn.ModuleList(Add(i) for i in range(3))
        layers.append(Add(3)).extend([Add(4)]).insert(0, Add(-1))
        assert numbers(layers) == [-1, 0, 1, 2, 3, 4]
        assert numbers(layers[::2]) == [-1, 1, 3] and list(layers[::2]._modules) == ["0", "1", "2"]
        del layers[-1]
        assert layers.pop(0).number == -1
        assert numbers(layers + [Add(9)]) == [0, 1, 2, 3, 9]
        assert layers[2] in layers and Add(2) not in layers
        assert len(nn.ModuleList()) == 0

    def test_parameters_are_found(self):
        layers = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
        assert list(layers.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]

    def test_is_not_called(self):
        with pytest.raises(NotImplementedError):
            nn.ModuleList([Add(1)])(0)

    def test_copies_are_independent(self):
        layers = nn.ModuleList([Add(1)])
        twin = copy.deepcopy(layers)
        twin.append(Add(2))
        assert len(layers) == 1


class TestModuleDict:
    def test_is_a_dict(self):
        layers = nn.ModuleDict({"a": Add(1), "b": Add(2)})
        layers["c"] = Add(3)
        layers.update([("d", Add(4)), ("a", Add(5))])
        assert list(layers) == list(layers.keys()) == ["a", "b", "c", "d"]
        assert [m.number for m in layers.values()] == [5, 2, 3, 4]
        assert dict(layers.items())["c"] is layers["c"] is layers.c
        assert "a" in layers and "z" not in layers and len(layers) == 4
        assert layers.pop("a").number == 5
        del layers["b"]
        assert list(layers) == ["c", "d"]
        with pytest.raises(KeyError):
            layers["a"]
        layers.clear()
        assert len(layers) == 0

    def test_keys_that_are_methods_are_refused(self):
        with pytest.raises(KeyError, match="has an attribute 'items' already"):
            nn.ModuleDict({"items": Add(1)})


class TestParameters:
    def test_list(self):
        weights = nn.ParameterList([mg.ones(2), nn.Parameter(mg.zeros(1))])
        weights.append(mg.ones(3))
        assert [type(w) for w in weights] == [nn.Parameter] * 3
        assert list(weights.state_dict()) == ["0", "1", "2"]
        weights[0] = mg.ones(4)
        assert [w.shape for w in weights.parameters()] == [(4,), (1,), (3,)]
        del weights[1]
        assert [w.shape for w in weights] == [(4,), (3,)]
        assert [w.shape for w in weights[1:]] == [(3,)]
        with pytest.raises(TypeError, match="ParameterList: expected a Parameter or a Tensor, got a float"):
            weights.append(1.0)
        assert repr(weights) == (
            "ParameterList(\n"
            "  (0): Parameter containing: [float32 of size 4]\n"
            "  (1): Parameter containing: [float32 of size 3]\n"
            ")"
        )

    def test_dict(self):
        weights = nn.ParameterDict({"a": mg.ones(2)})
        weights["b"] = nn.Parameter(mg.ones(1))
        assert [name for name, _ in weights.named_parameters()] == list(weights) == ["a", "b"]
        assert weights.a is weights["a"] and weights["a"].requires_grad
        assert weights.pop("a").shape == (2,) and list(weights.state_dict()) == ["b"]

    def test_what_a_dict_can_do_besides(self):
        weights, others = nn.ParameterDict({"a": mg.ones(2)}), nn.ParameterDict({"a": mg.ones(3), "b": mg.ones(1)})
        assert weights.get("a") is weights["a"]
        assert weights.get("b") is None and weights.get("b", 0) == 0 and "b" not in weights
        both = weights | others
        assert type(both) is nn.ParameterDict and list(both) == ["a", "b"] and both["a"] is others["a"]
        assert [w.shape for w in weights.values()] == [(2,)]
        assert list(weights | {"c": mg.ones(1)}) == ["a", "c"] and list({"c": mg.ones(1)} | weights) == ["c", "a"]
        assert weights.setdefault("a", mg.ones(5)).shape == (2,)
        added = weights.setdefault("c", mg.ones(4))
        assert type(added) is nn.Parameter and added is weights["c"]
        same = weights
        weights |= others
        assert weights is same and list(weights.named_parameters()) == [
            ("a", others["a"]),
            ("c", added),
            ("b", others["b"]),
        ]


@pytest.mark.parametrize("kind", [nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict])
def test_none_is_an_empty_container(kind):
    assert len(kind(None)) == 0
