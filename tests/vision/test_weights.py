"""Published weights: found, fetched from files of this machine, verified, and loaded."""

import hashlib
import io
import os
import urllib.error
import urllib.request
from dataclasses import replace

import pytest

import minigrad
from minigrad import nn
from minigrad.io import CheckpointError
from minigrad.vision import models
from minigrad.vision.models import Published, get_model_weights, register_model, registry


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    """A registry and folders of the test's own."""
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setenv("MINIGRAD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MINIGRAD_CHECKPOINT_PATH", raising=False)


@pytest.fixture
def kept(tmp_path):
    """The folder where weights are kept."""
    return tmp_path / "home" / "checkpoints"


@pytest.fixture
def shop(tmp_path):
    """A folder that stands for a server."""
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop"


def publish(folder, state, name="linear", **options):
    """Save a state dict as publishers do, the beginning of its SHA-256 in its name."""
    buffer = io.BytesIO()
    minigrad.save(state, buffer)
    content = buffer.getvalue()
    path = folder / f"{name}-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    path.write_bytes(content)
    return Published(path.name, url=path.as_uri(), **{"required": {"num_classes": 2}, **options})


def register_linear(**published):
    @register_model(**published)
    def linear(num_classes: int = 2, in_channels: int = 3, bias: bool = True) -> nn.Linear:
        return nn.Linear(in_channels, num_classes, bias)

    return linear


def state_of(number):
    return {"weight": minigrad.full((2, 3), number), "bias": minigrad.full((2,), -number)}


def number_in(model):
    [number] = model.weight.unique().tolist()
    return number


def test_published():
    published = Published("net-0123abcd.pth")
    assert published.url == "https://download.pytorch.org/models/net-0123abcd.pth"
    assert published.sha256 == "0123abcd"
    assert Published("net-owt-7be5be79.pth", url="https://example.org/f").url == "https://example.org/f"
    for name in ("net.pth", "net-0123abc.pth", "net-0123ABCD.pth", "folder/net-0123abcd.pth", "net-0123abcd", ""):
        with pytest.raises(ValueError, match=r"Published: expected a file name like 'resnet18-f37072fd\.pth', got"):
            Published(name)


def test_where_files_are_kept(monkeypatch, tmp_path):
    published = Published("net-0123abcd.pth")
    assert published.path == tmp_path / "home" / "checkpoints" / "net-0123abcd.pth"
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "user"))
    for unset in ("", "~/.cache/minigrad"):
        monkeypatch.setenv("MINIGRAD_HOME", unset)
        assert published.path == tmp_path / "user" / ".cache" / "minigrad" / "checkpoints" / "net-0123abcd.pth"


def test_fetched_once(shop, kept):
    published = publish(shop, state_of(1.0))
    linear = register_linear(V1=published)
    model = linear(pretrained=True)
    assert number_in(model) == 1
    assert model.bias.tolist() == [-1, -1]
    assert os.listdir(kept) == [published.file]
    (shop / published.file).unlink()
    assert number_in(linear(pretrained=True)) == 1


def test_names_of_weights(shop):
    first, second = publish(shop, state_of(1.0)), publish(shop, state_of(2.0))
    linear = register_linear(default="V2", V1=first, V2=second)
    assert number_in(linear(pretrained=True)) == 1
    assert number_in(linear(weights="V1")) == 1
    assert number_in(linear(weights="V2")) == 2
    assert number_in(linear(weights="DEFAULT")) == 2
    assert number_in(models.get_model("linear", weights="V2")) == 2


def test_find_weights(shop, kept, tmp_path, monkeypatch):
    """What is meant, and the file if it is here; nothing is fetched."""
    first, second = publish(shop, state_of(1.0)), publish(shop, state_of(2.0))
    register_linear(default="V2", V1=first, V2=second)
    assert models.find_weights("linear", None) == (None, None)
    assert models.find_weights("linear", "DEFAULT") == (second, None)
    assert not kept.exists()
    monkeypatch.setenv("MINIGRAD_CHECKPOINT_PATH", str(shop))
    assert models.find_weights("linear", "V1") == (first, shop / first.file)
    assert models.find_weights("linear", shop) == (second, shop / second.file)
    (tmp_path / "mine.pth").touch()
    assert models.find_weights("linear", str(tmp_path / "mine.pth")) == (None, tmp_path / "mine.pth")
    with pytest.raises(ValueError, match="linear: expected weights to be one of V1, V2, DEFAULT"):
        models.find_weights("linear", "V3")
    with pytest.raises(ValueError, match="find_weights: expected the name of a network, got 'nothing'"):
        models.find_weights("nothing", None)


def test_relative_home_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIGRAD_HOME", "here")
    assert Published("net-0123abcd.pth").path == tmp_path / "here" / "checkpoints" / "net-0123abcd.pth"


def test_search_path(shop, kept, tmp_path, monkeypatch):
    """The folders are looked through in their order, before the one where weights are kept; nothing is written to them."""
    published = publish(shop, state_of(1.0))
    linear = register_linear(V1=published)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("MINIGRAD_CHECKPOINT_PATH", os.pathsep.join([str(tmp_path / "missing"), "~/shop", ""]))
    assert number_in(linear(pretrained=True)) == 1
    assert not kept.exists()
    assert os.listdir(shop) == [published.file]


@pytest.mark.parametrize("kind", ["cache", "path", "folder"])
def test_damaged_file(shop, kept, kind):
    """It is not used, and not touched either."""
    published = publish(shop, state_of(1.0))
    linear = register_linear(V1=published)
    kept.mkdir(parents=True)
    damaged = kept / published.file
    content = (shop / published.file).read_bytes()
    damaged.write_bytes(content[:-1])
    weights = {"cache": "V1", "path": damaged, "folder": kept}[kind]
    found = hashlib.sha256(content[:-1]).hexdigest()
    with pytest.raises(RuntimeError) as raised:
        linear(weights=weights)
    for part in (f"sha256 beginning with {published.sha256} for {damaged}, got {found}", "delete it", published.url):
        assert part in str(raised.value)
    assert damaged.read_bytes() == content[:-1]


def test_wrong_file_from_the_server(shop, kept):
    published = publish(shop, state_of(1.0))
    (shop / published.file).write_bytes(b"<html>")
    with pytest.raises(RuntimeError) as raised:
        register_linear(V1=published)(pretrained=True)
    expected = f"sha256 beginning with {published.sha256}"
    for part in (
        f"expected {expected} for {published.url}, got {hashlib.sha256(b'<html>').hexdigest()}",
        f"get {published.url} ({expected}) by other means and put it at {kept / published.file}",
    ):
        assert part in str(raised.value)
    assert os.listdir(kept) == []


def test_without_network(kept, shop, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGRAD_CHECKPOINT_PATH", os.pathsep.join([str(shop), str(tmp_path / "missing")]))

    def urlopen(url, timeout):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(RuntimeError) as raised:
        models.resnet101(pretrained=True)
    url = "https://download.pytorch.org/models/resnet101-63fe2227.pth"
    advice = f"get {url} (sha256 beginning with 63fe2227) by other means and put it at {kept / 'resnet101-63fe2227.pth'}"
    assert f"{url} could not be fetched (<urlopen error no network>)" in str(raised.value)
    assert advice in str(raised.value)
    assert str(raised.value).endswith(f"; searched so far: {shop}, {tmp_path / 'missing'} (no such folder), {kept}")
    with pytest.raises(RuntimeError, match=r"models/resnet101-cd907fc2\.pth could not be fetched"):
        models.resnet101(weights="DEFAULT")


def test_where_nothing_can_be_kept(shop, tmp_path):
    (tmp_path / "home").write_text("a file, not a folder")
    published = publish(shop, state_of(1.0))
    with pytest.raises(RuntimeError, match=f"nothing can be written to {tmp_path / 'home' / 'checkpoints'} "):
        register_linear(V1=published)(pretrained=True)
    assert (tmp_path / "home").read_text() == "a file, not a folder"


def test_path_of_a_file(tmp_path):
    """Of any name and any origin, for networks with and without published weights, and of any number of classes."""
    minigrad.save({"weight": minigrad.full((5, 3), 7.0), "bias": minigrad.zeros(5)}, tmp_path / "mine.pth")
    for published in ({}, {"V1": Published("linear-0123abcd.pth")}):
        linear = register_linear(**published)
        assert number_in(linear(5, weights=tmp_path / "mine.pth")) == 7
        assert number_in(linear(num_classes=5, weights=str(tmp_path / "mine.pth"))) == 7


def test_folder(shop, kept):
    """The published files are looked for in it, the default first."""
    first, second = publish(shop, state_of(1.0)), publish(shop, state_of(2.0))
    linear = register_linear(default="V2", V1=first, V2=second)
    assert number_in(linear(weights=shop)) == 2
    (shop / second.file).unlink()
    assert number_in(linear(weights=str(shop))) == 1
    assert not kept.exists()


def test_options_of_the_weights(shop):
    """They are used with the weights only, and give way to the caller's; a path to the published file counts as that file."""
    published = publish(shop, {"weight": minigrad.ones(2, 3)}, options={"bias": False})
    linear = register_linear(V1=published)
    assert linear().bias is not None
    assert linear(pretrained=True).bias is None
    assert linear(weights=shop / published.file).bias is None
    with pytest.raises(RuntimeError, match="missing: bias"):
        linear(pretrained=True, bias=True)
    with pytest.raises(RuntimeError, match="missing: bias"):
        linear(2, 3, True, weights="V1")
    (shop / published.file).rename(shop / "mine.pth")
    with pytest.raises(RuntimeError, match="missing: bias"):
        linear(weights=shop / "mine.pth")


def test_prepare(shop):
    def doubled(state, model):
        assert isinstance(model, nn.Linear)
        return {"weight": 2 * state["w"], "bias": state["b"]}

    published = publish(shop, {"w": minigrad.ones(2, 3), "b": minigrad.zeros(2)}, prepare=doubled)
    assert number_in(register_linear(V1=published)(pretrained=True)) == 2


def test_files_that_do_not_fit(tmp_path):
    linear = register_linear()
    path = tmp_path / "file.pth"
    minigrad.save({"weight": minigrad.ones(4, 3), "bias": minigrad.ones(2)}, path)
    with pytest.raises(RuntimeError) as raised:
        linear(weights=path)
    assert f"weights: {path}: load_state_dict" in str(raised.value)
    assert "weight: expected shape (2, 3), got (4, 3)" in str(raised.value)
    minigrad.save([1, 2], path)
    with pytest.raises(CheckpointError, match=f"weights: expected {path} to hold a state dict, got a list"):
        linear(weights=path)
    path.write_bytes(b"<html>")
    with pytest.raises(CheckpointError, match=r"file\.pth: expected"):
        linear(weights=path)


@pytest.mark.parametrize("key", ["model", "state_dict"])
def test_file_of_a_training(tmp_path, key):
    path = tmp_path / "last.pth"
    minigrad.save({key: state_of(3.0), "optimizer": {"state": {}}, "epoch": 7, "draws": minigrad.ones(2)}, path)
    assert number_in(register_linear()(weights=path)) == 3


@pytest.mark.parametrize(
    "content",
    [{"model": state_of(1.0), "state_dict": state_of(2.0)}, {"model": {"epoch": 1}}],
    ids=["both", "none"],
)
def test_files_where_it_is_not_clear_what_is_meant(tmp_path, content):
    minigrad.save(content, tmp_path / "last.pth")
    with pytest.raises(RuntimeError, match="unexpected: model"):
        register_linear()(weights=tmp_path / "last.pth")


def test_file_of_data_parallel(tmp_path):
    path = tmp_path / "parallel.pth"
    minigrad.save({f"module.{name}": value for name, value in state_of(1.0).items()}, path)
    with pytest.raises(RuntimeError) as raised:
        register_linear()(weights=path)
    assert str(raised.value).startswith(f"weights: {path}: every key starts with 'module.', as DataParallel writes them; ")
    assert "missing" not in str(raised.value)


def test_network_without_memory(tmp_path):
    path = tmp_path / "mine.pth"
    minigrad.save(state_of(4.0), path)
    linear = register_linear()
    with minigrad.device("meta"):
        with pytest.raises(RuntimeError) as raised:
            linear(weights=path)
        model = linear()
    assert f"weights: expected a network with memory for {path}, got one on the meta device" in str(raised.value)
    assert "\n" not in str(raised.value)
    model.load_state_dict(minigrad.load(path), assign=True)  # its advice
    assert number_in(model) == 4


def test_loaded_weights_are_the_networks_own(shop, kept):
    """A change of them leaves the file as it is."""
    published = publish(shop, state_of(1.0))
    linear = register_linear(V1=published)
    with minigrad.no_grad():
        linear(pretrained=True).weight.fill_(9.0)
    assert number_in(linear(pretrained=True)) == 1


def test_file_in_torchs_old_format(torch, shop):
    """Many published files are older than the format that can be mapped."""
    buffer = io.BytesIO()
    state = {"weight": torch.full((2, 3), 5.0), "bias": torch.zeros(2)}
    torch.save(state, buffer, _use_new_zipfile_serialization=False)
    path = shop / f"linear-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
    path.write_bytes(buffer.getvalue())
    published = Published(path.name, url=path.as_uri(), required={})
    assert number_in(register_linear(V1=published)(pretrained=True)) == 5


def test_googlenet_without_the_heads_that_nobody_trained(shop, kept):
    minigrad.manual_seed(0)
    state = models.googlenet(aux_logits=True).state_dict()
    published = publish(shop, state, "googlenet", required={})
    original = get_model_weights("googlenet")["DEFAULT"]
    register_model(V1=replace(original, file=published.file, url=published.url))(models.googlenet.__wrapped__)
    model = models.get_model("googlenet", pretrained=True)
    assert model.aux1 is None
    assert model.aux2 is None
    assert model.transform_input
    assert model.fc.weight.equal(state["fc.weight"])
    model = models.get_model("googlenet", pretrained=True, aux_logits=True, transform_input=False)
    assert model.aux1.fc1.weight.equal(state["aux1.fc1.weight"])
    assert not model.transform_input


def test_facts_are_torchvisions(torchvision):
    """Every file, address, size and accuracy, and which weights are the default."""
    compared = 0
    for name in models.list_models():
        published = get_model_weights(name)
        if published:
            theirs = torchvision.get_model_weights(name)
            assert published["DEFAULT"].url == theirs.DEFAULT.url, name
            for key, ours in published.items():
                preset = theirs[key].transforms
                assert ours.url == theirs[key].url, (name, key)
                assert ours.url.endswith(ours.file)
                assert (ours.resize, ours.crop) == (preset.keywords.get("resize_size", 256), preset.keywords["crop_size"]), name
                made = preset()
                assert ours.interpolation == made.interpolation.value, (name, key)
                assert ([*ours.mean], [*ours.std]) == ([*made.mean], [*made.std]), (name, key)
                assert ours.top1 == theirs[key].meta["_metrics"]["ImageNet-1K"]["acc@1"], (name, key)
                compared += 1
    assert compared > 50
