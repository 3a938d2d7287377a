"""Published weights, from the server's answer to the network's."""

import io
import os
import pickle
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from convscope import Preprocessing, build_model, load_pretrained
from convscope.catalog import MODELS, WEIGHTS, Weights, weights_entry
from convscope.errors import ConvscopeError, UserError
from convscope.models.pretrained import fit_weights

State = dict[str, Tensor]
Publish = Callable[..., Any]
SMALL: dict[str, Any] = {"resnet18": {"width": 0.125}, "vgg11": {"width": 1 / 64}, "densenet121": {"growth_rate": 4}}


@pytest.fixture(autouse=True)
def data_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path))


def network(name: str, *, seed: int = 1, in_channels: int = 3, num_classes: int = 1000, **options: Any) -> Any:
    """A network with drawn weights whose norms have seen something."""
    options = SMALL.get(name, {}) | options
    model = build_model(
        name, num_classes=num_classes, in_channels=in_channels, input_size=64, seed=seed, **options
    ).eval()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for key, tensor in model.state_dict().items():
            if key.endswith("running_mean"):
                tensor.normal_(std=0.1)
            elif key.endswith("running_var"):
                tensor.uniform_(0.5, 2)
    return model


def images(channels: int = 3) -> Tensor:
    return torch.rand(2, channels, 64, 64, generator=torch.Generator().manual_seed(0))


def copy(state: State) -> State:
    return {name: tensor.clone() for name, tensor in state.items()}


def assert_equal(one: State, other: State, *, except_for: Iterable[str] = ()) -> None:
    """Equal but for the tensors named, which all differ."""
    assert one.keys() == other.keys()
    assert {name for name in one if not torch.equal(one[name], other[name])} == set(except_for)


def path_of(name: str, data_dir: Path) -> Path:
    return data_dir / "weights" / WEIGHTS[name, "imagenet"].file


# The catalogue


@pytest.mark.parametrize("row", WEIGHTS.values(), ids=lambda row: row.file)
def test_rows_are_what_is_published(row: Weights) -> None:
    assert row.file == f"{row.file.rpartition('-')[0]}-{row.digest}.pth"
    assert row.file.startswith("googlenet" if row.model == "googlenet_bn" else row.model)
    assert len(row.digest) == 8 and int(row.digest, 16) > 0
    assert MODELS[row.model].least_size <= row.crop == 224 < row.resize
    assert 50 < row.top1 < 90


def test_rows_have_files_of_their_own() -> None:
    assert len({row.digest for row in WEIGHTS.values()}) == len({row.file for row in WEIGHTS.values()}) == len(WEIGHTS)
    assert weights_entry("resnet50").file == "resnet50-0676ba61.pth"
    assert weights_entry("resnet50", "imagenet-v2").file == "resnet50-11ad3fa6.pth"


@pytest.mark.parametrize("name", ["resnet18_small", "se_resnet18", "googlenet", "tinyvgg_bn"])
def test_networks_without_weights_are_told_which_have_some(name: str) -> None:
    with pytest.raises(UserError, match=f"no weights 'imagenet' for '{name}'.*resnet18.*densenet121") as caught:
        load_pretrained(build_model(name, input_size=64))
    assert "googlenet_bn" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "version", "remedy"),
    [
        ("resnet18", "imagenet-v2", "take imagenet."),
        ("tinyvgg", "imagenet-v2", "choose one of: resnet50, resnet101."),
        ("tinyvgg", "imagenet-v3", "the versions are imagenet, imagenet-v2."),
    ],
)
def test_versions_that_do_not_exist(name: str, version: str, remedy: str) -> None:
    with pytest.raises(UserError, match=remedy):
        weights_entry(name, version)


# What a network gets


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "old format"])
@pytest.mark.parametrize("name", ["resnet18", "vgg11", "densenet121"])
def test_a_network_of_the_same_classes_becomes_the_published_one(publish: Publish, name: str, zipped: bool) -> None:
    source, model = network(name), network(name, seed=2)
    publish(name, source.state_dict(), zipped=zipped)
    assert load_pretrained(model) == WEIGHTS[name, "imagenet"]
    assert_equal(model.state_dict(), source.state_dict())
    with torch.inference_mode():
        assert torch.equal(model(images()), source(images()))


@pytest.mark.parametrize(
    ("name", "last"), [("resnet18", "fc"), ("vgg11", "classifier.6"), ("densenet121", "classifier")]
)
def test_for_other_classes_the_last_layer_stays_as_it_was_drawn(publish: Publish, name: str, last: str) -> None:
    source, model = network(name), network(name, seed=2, num_classes=10)
    publish(name, source.state_dict())
    drawn = copy(model.state_dict())
    load_pretrained(model)
    names = [f"{last}.weight", f"{last}.bias"]
    changed = model.state_dict()
    assert all(torch.equal(changed[name], drawn[name]) for name in names)
    for name in names:  # all else is the file's
        changed[name] = source.state_dict()[name]
    assert_equal(changed, source.state_dict())


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "densenet121"])
def test_a_grey_image_gets_the_answer_of_its_three_equal_channels(publish: Publish, name: str) -> None:
    source, model = network(name), network(name, seed=2, in_channels=1)
    publish(name, source.state_dict())
    load_pretrained(model)
    grey = images(1)
    with torch.inference_mode():
        expected, logits = source(grey.expand(-1, 3, -1, -1)), model(grey)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5 * expected.std().item())


def test_other_numbers_of_channels_are_refused_before_anything_is_fetched(publish: Publish) -> None:
    mirror = publish("resnet18", network("resnet18").state_dict())
    with pytest.raises(UserError, match="not for 4 channels: give images with 3 channels or 1"):
        load_pretrained(network("resnet18", in_channels=4))
    assert mirror.asked == []


def test_densenets_old_files_have_other_names_and_no_counters(publish: Publish) -> None:
    source, model = network("densenet121"), network("densenet121", seed=2)
    old = {
        re.sub(r"(denselayer\d+\.)(norm|conv)([12])\.", r"\1\2.\3.", name): tensor
        for name, tensor in source.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.running_var" in old
    assert "features.denseblock4.denselayer16.conv.2.weight" in old
    publish("densenet121", old, zipped=False)
    load_pretrained(model)
    assert_equal(model.state_dict(), source.state_dict())


def test_auxiliary_classifiers_are_taken_left_out_or_kept_as_drawn(publish: Publish) -> None:
    source = network("googlenet_bn", auxiliary=True)
    file = source.state_dict()
    publish("googlenet_bn", file)
    both = network("googlenet_bn", seed=2, auxiliary=True)
    load_pretrained(both)
    assert_equal(both.state_dict(), file)

    none = network("googlenet_bn", seed=2)
    load_pretrained(none)
    assert_equal(none.state_dict(), {name: file[name] for name in file if not name.startswith("aux")})

    ten = network("googlenet_bn", seed=2, auxiliary=True, num_classes=10)
    drawn = copy(ten.state_dict())
    load_pretrained(ten)
    last = {f"{layer}.{part}" for layer in ("fc", "aux1.fc2", "aux2.fc2") for part in ("weight", "bias")}
    got = ten.state_dict()
    assert {name for name in got if torch.equal(got[name], drawn[name])} >= last
    assert_equal({n: got[n] for n in got if n not in last}, {n: file[n] for n in file if n not in last})


def test_googlenets_mean_and_deviation_stand_for_its_transformation_of_the_input() -> None:
    """torchvision normalises as for every network, then transforms; one half each is the two in one."""
    colours = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def prepared(row: Weights) -> Tensor:
        return Preprocessing(size=64, channels=3, mean=row.mean, std=row.std, border=0, decode_size=64, resize="crop")(
            colours
        )

    plain, transforming = network("googlenet_bn"), network("googlenet_bn", transform_input=True)
    with torch.inference_mode():
        logits = plain(prepared(weights_entry("googlenet_bn")))
        expected = transforming(prepared(weights_entry("resnet18")))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4 * expected.std().item())
    with pytest.raises(UserError, match=r"transform_input .*leave it out"):
        load_pretrained(transforming)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda state: state.update(extra=torch.ones(1)), "the file has extra"),
        (lambda state: state.pop("layer2.0.conv1.weight"), "the file lacks layer2.0.conv1.weight"),
        (
            lambda state: state.update({"bn1.weight": torch.ones(9)}),
            "bn1.weight is 9 in the file and 8 here",
        ),
        (
            lambda state: state.update({"conv1.weight": torch.ones(8, 3, 3, 3)}),
            "conv1.weight is 8x3x3x3 in the file and 8x3x7x7 here",
        ),
    ],
    ids=["more", "less", "shape", "first"],
)
def test_a_file_for_another_network_is_refused_and_the_model_stays(
    publish: Publish, change: Callable[[State], None], difference: str
) -> None:
    file = copy(network("resnet18").state_dict())
    change(file)
    publish("resnet18", file)
    model = network("resnet18", seed=2)
    before = copy(model.state_dict())
    with pytest.raises(UserError, match=rf"\({difference}\): leave out those that change its layers"):
        load_pretrained(model)
    assert_equal(model.state_dict(), before)


def test_options_that_change_the_layers_are_named(publish: Publish) -> None:
    publish("resnet18", network("resnet18").state_dict())
    with pytest.raises(UserError, match="not for the network with these options"):
        load_pretrained(network("resnet18", width=0.25))


# Weights of another training


def test_colour_images_get_from_weights_for_grey_the_answer_of_their_mean() -> None:
    source, model = network("resnet18", in_channels=1), network("resnet18", seed=2)
    assert fit_weights(model, source.state_dict(), Path("weights.pth")) == ()
    colour = images()
    with torch.inference_mode():
        expected, logits = source(colour.mean(dim=1, keepdim=True)), model(colour)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5 * expected.std().item())


def test_equally_many_other_classes_get_new_last_layers() -> None:
    source = network("googlenet_bn", auxiliary=True).state_dict()
    model = network("googlenet_bn", seed=2, auxiliary=True)
    drawn = copy(model.state_dict())
    last = ("aux1.fc2", "aux2.fc2", "fc")
    assert fit_weights(model, source, Path("weights.pth"), same_classes=False) == last
    expected = {name: (drawn if name.rpartition(".")[0] in last else source)[name] for name in source}
    assert_equal(model.state_dict(), expected)


def test_a_squeeze_that_is_as_narrow_as_there_are_classes_is_no_last_layer() -> None:
    source = network("se_resnet18", num_classes=4, width=1)
    model = network("se_resnet18", seed=2, num_classes=4, width=1)
    assert model.layer1[0].rescale.fc1.out_features == 4
    assert fit_weights(model, source.state_dict(), Path("weights.pth"), same_classes=False) == ("fc",)
    kept = {name for name in source.state_dict() if not name.startswith("fc.")}
    assert_equal(*({name: net.state_dict()[name] for name in kept} for net in (model, source)))


# Files that are something else


class Harm:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "old format"])
def test_code_in_a_file_is_never_run(publish: Publish, tmp_path: Path, zipped: bool) -> None:
    harm = Harm(tmp_path / "harmed")
    file = network("resnet18").state_dict() | {"fc.bias": harm}
    pickle.loads(pickle.dumps(harm))  # so it would
    harm.path.rmdir()
    publish("resnet18", file, zipped=zipped)
    model = network("resnet18", seed=2)
    before = copy(model.state_dict())
    with pytest.raises(UserError, match="perhaps code, and was not read") as caught:
        load_pretrained(model)
    assert str(path_of("resnet18", tmp_path)) in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert not harm.path.exists()
    assert_equal(model.state_dict(), before)


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "old format"])
@pytest.mark.parametrize(
    "content", [torch.nn.Linear(2, 2), [1], {"model": {}}, torch.ones(2)], ids=lambda c: type(c).__name__
)
def test_other_contents_are_refused(publish: Publish, content: object, zipped: bool) -> None:
    publish("resnet18", content, zipped=zipped)
    with pytest.raises(UserError, match="holds other things than tensors"):
        load_pretrained(network("resnet18"))


@pytest.mark.parametrize("kept", [0, 1, 100, 1000, -100, -1])
@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "old format"])
def test_what_is_no_file_of_tensors_is_refused(publish: Publish, zipped: bool, kept: int) -> None:
    """Cut off, but with the checksum that the name says: the reader itself must notice."""
    file = io.BytesIO()
    torch.save(network("resnet18").state_dict(), file, _use_new_zipfile_serialization=zipped)
    publish("resnet18", file.getvalue()[:kept])
    with pytest.raises(UserError, match="is damaged"):
        load_pretrained(network("resnet18"))


# How the file gets here


def test_a_file_is_fetched_once_and_its_progress_is_told(publish: Publish, tmp_path: Path) -> None:
    mirror = publish("resnet18", network("resnet18").state_dict())
    heard: list[tuple[str, int, int]] = []
    load_pretrained(network("resnet18"), data_dir=tmp_path / "own", progress=lambda *report: heard.append(report))
    ((name, data),) = mirror.files.items()
    assert heard[-1] == (f"fetching {name}", len(data), len(data))
    folder = tmp_path / "own" / "weights"
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [(name, data)]
    load_pretrained(network("resnet18"), data_dir=tmp_path / "own")
    assert mirror.asked == [name]


def assert_says_where_to_put_the_file(error: ConvscopeError, address: str, reason: str, data_dir: Path) -> None:
    row = WEIGHTS["resnet18", "imagenet"]
    assert not isinstance(error, UserError)
    assert str(error).startswith(f"cannot fetch {row.file}: {address}{row.file} {reason}")
    assert f"put it at {data_dir / 'weights' / row.file}" in str(error)
    assert "CONVSCOPE_WEIGHTS_ADDRESS" in str(error)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda mirror: mirror.files.clear(), "answered 404"),
        (lambda mirror: mirror.cut.update(mirror.files), "could not be reached or broke off"),
        (
            lambda mirror: mirror.files.update(dict.fromkeys(mirror.files, b"<html>please log in</html>")),
            "sent another file than the published one (wrong checksum)",
        ),
    ],
    ids=["missing", "cut", "wrong"],
)
def test_a_download_that_fails_leaves_nothing(
    publish: Publish, tmp_path: Path, fault: Callable[[Any], None], reason: str
) -> None:
    mirror = publish("resnet18", network("resnet18").state_dict())
    whole = dict(mirror.files)
    fault(mirror)
    model = network("resnet18", seed=2)
    with pytest.raises(ConvscopeError) as caught:
        load_pretrained(model)
    assert_says_where_to_put_the_file(caught.value, mirror.address, reason, tmp_path)
    assert not list((tmp_path / "weights").iterdir())
    mirror.cut.clear()
    mirror.files.update(whole)
    load_pretrained(model)
    assert [path.name for path in (tmp_path / "weights").iterdir()] == list(whole)


def test_a_server_that_cannot_be_reached(
    publish: Publish, refusing_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    publish("resnet18", {})
    monkeypatch.setenv("CONVSCOPE_WEIGHTS_ADDRESS", refusing_address.rstrip("/"))
    with pytest.raises(ConvscopeError) as caught:
        load_pretrained(network("resnet18"))
    assert_says_where_to_put_the_file(caught.value, refusing_address, "could not be reached", tmp_path)


def test_a_file_put_there_by_hand_is_used(publish: Publish, tmp_path: Path) -> None:
    source = network("resnet18")
    mirror = publish("resnet18", source.state_dict())
    path = path_of("resnet18", tmp_path)
    path.parent.mkdir()
    path.write_bytes(mirror.files[path.name])
    model = network("resnet18", seed=2)
    load_pretrained(model)
    assert_equal(model.state_dict(), source.state_dict())
    assert mirror.asked == []


def test_a_file_that_was_changed_is_noticed_each_time_and_left(publish: Publish, tmp_path: Path) -> None:
    mirror = publish("resnet18", network("resnet18").state_dict())
    load_pretrained(network("resnet18"))
    path = path_of("resnet18", tmp_path)
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)
    with pytest.raises(
        UserError, match=r"its SHA-256 begins with [0-9a-f]{8}, not with [0-9a-f]{8}; .*move it away"
    ) as caught:
        load_pretrained(network("resnet18"))
    assert str(path) in str(caught.value)
    assert path.read_bytes() == changed
    assert len(mirror.asked) == 1


def test_a_data_directory_that_cannot_be_written(publish: Publish, tmp_path: Path) -> None:
    publish("resnet18", network("resnet18").state_dict())
    (tmp_path / "file").touch()
    with pytest.raises(ConvscopeError, match=f"cannot write {tmp_path / 'file' / 'weights'}"):
        load_pretrained(network("resnet18"), data_dir=tmp_path / "file")
