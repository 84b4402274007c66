"""The protocol of Module: what it registers, what it finds, how it is changed as a whole."""

import copy
import pickle

import pytest

import minigrad as mg
from minigrad import nn
from tests.floats import REDUCED


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(mg.ones(2))
        self.register_buffer("seen", mg.zeros(()))

    def forward(self, x):
        return x * self.scale


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.shift = nn.Parameter(mg.zeros(2))
        self.second = Block()
        self.register_buffer("cache", mg.ones(3), persistent=False)
        self.register_parameter("nothing", None)
        self.register_module("none", None)

    def forward(self, x):
        return self.second(self.first(x)) + self.shift


def names(pairs):
    return [name for name, _ in pairs]


class TestAttributes:
    def test_assigned_parameters_modules_and_buffers_are_found(self):
        net = Net()
        assert names(net.named_parameters()) == ["shift", "first.scale", "second.scale"]
        assert names(net.named_buffers()) == ["cache", "first.seen", "second.seen"]
        assert names(net.named_children()) == ["first", "second"]
        assert names(net.named_modules()) == ["", "first", "second"]
        assert net.nothing is None and net.none is None

    def test_recurse_and_prefix(self):
        net = Net()
        assert names(net.named_parameters(recurse=False)) == ["shift"]
        assert names(net.named_parameters("net")) == ["net.shift", "net.first.scale", "net.second.scale"]
        assert names(net.named_buffers("net", recurse=False)) == ["net.cache"]
        assert list(net.parameters(recurse=False)) == [net.shift]
        assert len(list(net.buffers())) == 3

    def test_what_is_in_two_places_comes_once(self):
        net = Net()
        net.second = net.first
        net.again = net.shift
        assert names(net.named_parameters()) == ["shift", "first.scale"]
        assert names(net.named_parameters(remove_duplicate=False)) == ["shift", "again", "first.scale", "second.scale"]
        assert names(net.named_modules()) == ["", "first"]
        assert names(net.named_modules(remove_duplicate=False)) == ["", "first", "second"]
        assert names(net.named_children()) == ["first"]
        assert len(list(net.children())) == 1

    def test_a_new_value_takes_the_place_of_the_old(self):
        net = Net()
        net.first = Block()
        net.shift = nn.Parameter(mg.ones(2))
        assert names(net.named_parameters()) == ["shift", "first.scale", "second.scale"]
        net.first = None
        assert names(net.named_parameters()) == ["shift", "second.scale"]

    def test_a_name_can_change_its_kind(self):
        module = nn.Module()
        module.x = 3
        module.x = nn.Parameter(mg.ones(1))
        assert names(module.named_parameters()) == ["x"]
        module.x = Block()
        assert names(module.named_parameters()) == ["x.scale"] and names(module.named_children()) == ["x"]
        del module.x
        module.register_buffer("x", mg.ones(1), persistent=False)
        module.x = nn.Parameter(mg.ones(1))
        assert list(module.state_dict()) == ["x"]

    def test_a_tensor_replaces_a_buffer(self):
        block = Block()
        block.seen = mg.ones(())
        assert names(block.named_buffers()) == ["seen"] and block.seen.item() == 1
        block.plain = mg.ones(2)
        assert names(block.named_buffers()) == ["seen"]

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("scale", mg.ones(2), "Block: expected a Parameter or None for 'scale', got a Tensor"),
            ("inner", 3, "Block: expected a Module or None for 'inner', got an int"),
            ("seen", 0.5, "Block: expected a Tensor or None for 'seen', got a float"),
        ],
    )
    def test_a_value_of_another_kind_is_refused(self, name, value, message):
        block = Block()
        block.inner = nn.Module()
        before = getattr(block, name)
        with pytest.raises(TypeError, match=message):
            setattr(block, name, value)
        assert getattr(block, name) is before

    def test_attributes_can_be_deleted(self):
        net = Net()
        net.note = "text"
        for name in ("first", "shift", "cache", "note"):
            delattr(net, name)
            assert not hasattr(net, name)
        assert list(net.state_dict()) == ["second.scale", "second.seen"]
        with pytest.raises(AttributeError):
            del net.first

    def test_missing_attribute_names_itself(self):
        with pytest.raises(AttributeError, match="'Net' object has no attribute 'third'"):
            _ = Net().third

    def test_an_error_inside_a_property_is_not_hidden(self):
        class Broken(nn.Module):
            @property
            def size(self):
                return self.missing_inside

        with pytest.raises(AttributeError, match="missing_inside"):
            _ = Broken().size

    def test_dir_knows_what_is_registered(self):
        net = Net()
        assert {"first", "shift", "cache", "forward", "nothing"} <= set(dir(net))
        assert "0" not in dir(nn.Sequential(Block()))

    def test_registries_can_be_read_and_written_as_pytorchs(self):
        class Chain(nn.Module):
            def __init__(self, *modules):
                super().__init__()
                for i, module in enumerate(modules):
                    self._modules[str(i)] = module

            def forward(self, x):
                for module in self._modules.values():
                    x = module(x)
                return x

        net = Chain(Block(), Block(), nn.Identity())
        assert names(net.named_parameters()) == ["0.scale", "1.scale"]
        assert net(mg.ones(2)).tolist() == [1.0, 1.0]
        del net._modules["1"]
        assert list(net._modules) == ["0", "2"] and len(net._modules) == 2 and "1" not in net._modules
        assert net._modules.pop("2") is not None and not hasattr(net, "2")
        block = net._modules["0"]
        assert list(block._parameters) == ["scale"] and list(block._buffers.items()) == [("seen", block.seen)]
        block._parameters["scale"] = nn.Parameter(mg.zeros(2))
        assert block.scale.tolist() == [0.0, 0.0]
        with pytest.raises(KeyError):
            block._parameters["seen"]
        with pytest.raises(KeyError):
            del block._buffers["scale"]
        with pytest.raises(TypeError):
            block._modules["inner"] = 3

    def test_methods_are_not_shadowed(self):
        module = nn.Module()
        with pytest.raises(KeyError, match="has an attribute 'forward' already"):
            module.forward = nn.Parameter(mg.ones(1))
        with pytest.raises(KeyError, match="has an attribute 'train' already"):
            module.register_buffer("train", mg.ones(1))


class TestRegistration:
    def test_register_functions_and_their_synonym(self):
        module = nn.Module()
        module.register_parameter("a", nn.Parameter(mg.ones(1)))
        module.register_buffer("b", mg.ones(1))
        module.register_module("c", Block())
        module.add_module("d", Block())
        assert list(module.state_dict()) == ["a", "b", "c.scale", "c.seen", "d.scale", "d.seen"]

    @pytest.mark.parametrize("method", ["register_parameter", "register_buffer", "register_module", "add_module"])
    @pytest.mark.parametrize(
        ("name", "error", "message"),
        [("a.b", KeyError, "dots"), ("", KeyError, "empty"), (3, TypeError, "expected the name to be a str, got an int")],
    )
    def test_unusable_names(self, method, name, error, message):
        with pytest.raises(error, match=message):
            getattr(nn.Module(), method)(name, None)

    @pytest.mark.parametrize(
        ("method", "value", "message"),
        [
            ("register_parameter", mg.ones(1), "register_parameter: expected a Parameter or None for 'a', got a Tensor"),
            ("register_buffer", [1.0], "register_buffer: expected a Tensor or None for 'a', got a list"),
            ("register_module", mg.ones(1), "register_module: expected a Module or None for 'a', got a Tensor"),
        ],
    )
    def test_unusable_values(self, method, value, message):
        module = nn.Module()
        with pytest.raises(TypeError, match=message):
            getattr(module, method)("a", value)
        assert not hasattr(module, "a")

    def test_registering_again_replaces(self):
        module = nn.Module()
        module.register_buffer("a", mg.ones(1), persistent=False)
        module.register_buffer("a", mg.zeros(1))
        assert module.state_dict()["a"].item() == 0


class TestBeforeInit:
    @pytest.mark.parametrize("value", [nn.Parameter(mg.ones(1)), nn.Module()])
    def test_assigning_says_what_to_do(self, value):
        class Forgetful(nn.Module):
            def __init__(self):
                self.part = value

        with pytest.raises(AttributeError, match=r"Forgetful: call super\(\).__init__\(\) first in __init__"):
            Forgetful()

    def test_using_says_what_to_do(self):
        class Forgetful(nn.Module):
            def __init__(self):
                self.size = 3

        module = Forgetful()
        for use in (lambda: module(1), lambda: list(module.parameters()), lambda: module.register_buffer("a", None)):
            with pytest.raises(AttributeError, match=r"Forgetful: call super\(\).__init__\(\)"):
                use()

    def test_arguments_that_nobody_takes_are_refused(self):
        with pytest.raises(TypeError, match=r"^Block2: expected no arguments, got an int$"):
            type("Block2", (nn.Module,), {})(3)
        with pytest.raises(TypeError, match=r"^Module: expected no arguments, got a str$"):
            nn.Module(name="x")


class TestPaths:
    def test_modules_parameters_and_buffers_by_path(self):
        net = nn.Sequential(Net(), Block())
        assert net.get_submodule("") is net
        assert net.get_submodule("0.first") is net[0].first
        assert net.get_parameter("0.first.scale") is net[0].first.scale
        assert net.get_buffer("1.seen") is net[1].seen
        assert net[0].get_parameter("shift") is net[0].shift

    @pytest.mark.parametrize(
        ("method", "path", "message"),
        [
            ("get_submodule", "first.third", "get_submodule: Block has no module 'third' (in 'first.third')"),
            ("get_submodule", "shift", "get_submodule: Net has no module 'shift'"),
            ("get_parameter", "first.seen", "get_parameter: Block has no parameter 'seen' (in 'first.seen')"),
            ("get_parameter", "nothing", "get_parameter: Net has no parameter 'nothing'"),
            ("get_buffer", "first.scale", "get_buffer: Block has no buffer 'scale'"),
        ],
    )
    def test_paths_that_lead_nowhere(self, method, path, message):
        with pytest.raises(AttributeError) as raised:
            getattr(Net(), method)(path)
        assert message in str(raised.value)


class TestWhole:
    def test_train_and_eval_reach_everything(self):
        net = nn.Sequential(Net(), Block())
        assert all(module.training for module in net.modules())
        assert net.eval() is net
        assert not any(module.training for module in net.modules())
        net.train()
        assert all(module.training for module in net.modules())
        with pytest.raises(ValueError, match="train: expected mode to be a bool, got an int"):
            net.train(1)

    def test_requires_grad(self):
        net = Net().requires_grad_(False)
        assert not any(p.requires_grad for p in net.parameters())
        assert all(p.requires_grad for p in net.requires_grad_().parameters())

    def test_zero_grad(self):
        net = Net()
        net(mg.ones(2)).sum().backward()
        before = net.shift.grad
        net.zero_grad(set_to_none=False)
        assert net.shift.grad is not None and net.shift.grad.tolist() == [0.0, 0.0]
        assert before.tolist() == [0.0, 0.0]  # the same memory: whoever holds it sees the zeros
        net.zero_grad()
        assert all(p.grad is None for p in net.parameters())

    def test_apply_goes_from_the_inside_out(self):
        order = []
        net = nn.Sequential(Net(), Block())
        assert net.apply(lambda module: order.append(module)) is net
        assert order == [net[0].first, net[0].second, net[0], net[1], net]

    def test_forward_must_be_defined(self):
        with pytest.raises(NotImplementedError, match="Module: expected the class to define forward"):
            nn.Module()(1)


class TestConversion:
    def test_parameters_stay_the_same_objects(self):
        net = Net()
        net(mg.ones(2)).sum().backward()
        before = list(net.parameters())
        assert net.to(mg.float64) is net
        assert [id(p) for p in net.parameters()] == [id(p) for p in before]
        assert all(p.dtype == p.grad.dtype == mg.float64 and p.requires_grad and p.is_leaf for p in before)
        net(mg.ones(2, dtype=mg.float64)).sum().backward()

    @pytest.mark.parametrize(
        ("method", "dtype"),
        [("half", mg.float16), ("float", mg.float32), ("double", mg.float64)]
        + [("bfloat16", dtype) for dtype in REDUCED if dtype == "bfloat16"],
    )
    def test_short_forms(self, method, dtype):
        module = Block()
        module.register_buffer("count", mg.zeros((), dtype=mg.int64))
        assert getattr(module, method)() is module
        assert (module.scale.dtype, module.seen.dtype, module.count.dtype) == (dtype, dtype, mg.int64)

    @pytest.mark.parametrize(
        ("args", "kwargs"),
        [
            ((mg.float64,), {}),
            (("float64",), {}),
            (("cpu", mg.float64), {}),
            ((mg.device("cpu"), "float64"), {}),
            ((mg.ones(1, dtype=mg.float64),), {}),
            ((), {"dtype": mg.float64}),
            ((), {"device": "cpu", "dtype": "float64"}),
            (("cpu",), {"dtype": mg.float64, "non_blocking": True}),
            (("cpu", mg.float64, True), {}),
            ((mg.float64, False), {}),
            ((mg.ones(1, dtype=mg.float64), True), {}),
        ],
    )
    def test_spellings_of_to(self, args, kwargs):
        assert Net().to(*args, **kwargs).shift.dtype == mg.float64

    def test_nothing_changes_without_need(self):
        net = Net()
        arrays = [p.array for p in net.parameters()]
        net.cpu().float().to("cpu")
        assert all(p.array is a for p, a in zip(net.parameters(), arrays, strict=True))

    def test_what_is_shared_stays_shared(self):
        net = nn.Sequential(Block(), Block())
        net[1].scale = net[0].scale
        net[1].seen = net[0].seen
        net.double()
        assert net[1].scale is net[0].scale and net[1].seen is net[0].seen
        assert net[0].scale.dtype == net[0].seen.dtype == mg.float64

    def test_bad_targets(self):
        with pytest.raises(TypeError, match=r"Net.to: expected a floating dtype, got int64"):
            Net().to(mg.int64)
        for bad in ("nowhere", True):
            with pytest.raises(TypeError):
                Net().to(bad)
        assert Net().shift.dtype == mg.float32


class TestCopies:
    def test_a_shallow_copy_shares_the_parts_and_can_be_changed_by_itself(self):
        net = Net()
        twin = copy.copy(net)
        assert twin.shift is net.shift and twin.first is net.first
        twin.extra = nn.Parameter(mg.ones(1))
        del twin.first
        assert names(net.named_parameters()) == ["shift", "first.scale", "second.scale"]
        assert names(twin.named_parameters()) == ["shift", "extra", "second.scale"]

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
    def test_a_copy_is_equal_and_independent(self, duplicate):
        net = nn.Sequential(Net(), Block()).eval()
        net[1].scale = net[0].first.scale
        with mg.no_grad():
            net[0].shift.fill_(2)
        twin = duplicate(net)
        assert list(twin.state_dict()) == list(net.state_dict())
        assert twin[0].shift.tolist() == [2.0, 2.0] and not twin[0].training
        assert twin[1].scale is twin[0].first.scale and twin[1].scale is not net[1].scale
        assert type(twin[0].shift) is nn.Parameter
        with mg.no_grad():
            twin[0].shift.fill_(3)
        assert net[0].shift.tolist() == [2.0, 2.0]
        assert twin(mg.ones(2)).tolist() == [4.0, 4.0]
        assert list(twin[0].state_dict()) == list(net[0].state_dict())  # the buffer that does not persist does not come back
