"""The pages of `convscope look`, and what is on them."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from convscope.config import Config
from convscope.data import Preprocessing, Splits
from convscope.errors import UserError
from convscope.models import build_model
from convscope.report.look.images import look_at_images
from convscope.report.look.network import look
from convscope.report.look.page import Picture, Section, Table, write_look_page
from convscope.runs import Run, create_run
from convscope.training.checkpoint import save_weights


def write_run(folder: Path, data: Path, splits: Splits, model: str, **options: object) -> Run:
    """A run of a network that has learned nothing, on a data set."""
    run = create_run(folder, model, Config(data=str(data), model=model, model_options=options), {"started": "2026"})
    header = {
        "model": model,
        "options": options,
        "num_classes": 10,
        "in_channels": 1,
        "input_size": 28,
        "classes": list(splits.train.classes),
        "preprocessing": Preprocessing.for_training(splits.train).to_dict(),
    }
    save_weights(run.best_weights, build_model(model, seed=0, **options).state_dict(), header)
    return run


@pytest.fixture(scope="module")
def tiny(fashion_slice: Path, fashion_splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_run(tmp_path_factory.mktemp("runs"), fashion_slice, fashion_splits, "tinyvgg", hidden=16)


def words(page: Path) -> str:
    """The page's text, without the pictures inside."""
    text = re.sub(r'src="data:[^"]*"', "", page.read_text(encoding="utf-8"))
    return re.sub(r"<[^>]+>", " ", text[text.index("<body>") :])


def test_a_page_and_pictures_about_a_network(tiny: Run):  # R-A9
    told = []
    page = look(tiny, limit=40, layer="block1.conv2", channels=(3, 1), progress=lambda *step: told.append(step))
    assert page == tiny.path / "look" / "network.html"
    pictures = {path.name for path in page.parent.glob("*.png")}
    assert {"filters.png", "activations.png", "patches-block1.conv2.png", "embedding-pca.png"} <= pictures
    assert {"channels-block1.conv2.png", "attributions-wrong.png"} <= pictures
    html = page.read_text(encoding="utf-8")
    assert html.count('<img src="data:image/png;base64,') == len(pictures)
    assert "http" not in html.replace("http-equiv", "")
    assert all(alt for alt in re.findall(r'<img src="[^"]*" alt="([^"]*)"', html))
    text = words(page)
    assert "Nothing to show" not in text
    assert "40 validation images" in text and "40 test images" in text
    assert "channel 3" in text and "channel 1" in text and "channel 0" not in text
    assert {name for name, _, _ in told} >= {"drawing", "computing features", "searching images for block1.conv2"}


def test_other_methods_and_tsne(tiny: Run, tmp_path: Path):
    page = look(tiny, limit=12, layer="block2.conv2", method="occlusion", embedding="tsne", output=tmp_path / "o")
    assert (tmp_path / "o" / "embedding-tsne.png").exists()
    text = words(page)
    assert "Kullback-Leibler divergence" in text and "by occlusion" in text


def test_a_network_without_maps_says_so_and_shows_the_rest(fashion_slice: Path, fashion_splits: Splits, tmp_path: Path):
    page = look(write_run(tmp_path, fashion_slice, fashion_splits, "linear"), limit=20)
    text = words(page)
    assert text.count("Nothing to show") == 3
    assert "no convolutions, so it has no maps" in text
    assert "no channel lies between the image and the answer" in text
    pictures = {path.name for path in page.parent.glob("*.png")}
    assert pictures == {"filters.png", "patches-output.png", "embedding-pca.png"}


def test_what_there_is_not_is_refused_before_anything_is_written(tiny: Run, tmp_path: Path):
    folder = tmp_path / "none"
    for arguments, sentence in (
        ({"layer": "block2.con2"}, r"unknown layer 'block2\.con2': did you mean 'block2\.conv2'"),
        ({"layer": "block2.conv2", "channels": (64,)}, "has 64 channels and no channel 64:"),
        ({"channels": (1,)}, "say of which --layer"),
        ({"method": "grad-cm"}, "unknown method 'grad-cm': did you mean 'grad-cam'"),
        ({"embedding": "umap"}, "unknown embedding 'umap'"),
        ({"limit": 2}, "look at 3 images at least"),
    ):
        with pytest.raises(UserError, match=sentence):
            look(tiny, output=folder, **arguments)
    assert not folder.exists()


def test_images_of_the_data_and_files(tiny: Run, fashion_splits: Splits, tmp_path: Path):
    pixels = fashion_splits.test.take(torch.tensor([5]))[0, 0]
    Image.fromarray(pixels.numpy()).save(tmp_path / "five.png")
    Image.fromarray((255 - pixels).numpy()).save(tmp_path / "negative.png")
    (tmp_path / "broken.png").write_text("nothing")
    errors: list[UserError] = []
    page, answers = look_at_images(
        tiny,
        [
            "test/5",
            str(tmp_path / "five.png"),
            str(tmp_path / "broken.png"),
            "test/200",
            str(tmp_path / "negative.png"),
        ],
        output=tmp_path / "look",
        on_error=errors.append,
    )
    assert page == tmp_path / "look" / "images.html"
    of_the_data, file, negative = answers
    assert of_the_data.classes == file.classes
    assert sum(probability for _, probability in file.classes) <= 1
    assert of_the_data.label == fashion_splits.test.classes[fashion_splits.test.labels[5]]
    assert file.label is None
    assert (file.exchanged, negative.exchanged) == (False, True)
    assert [str(error).split()[0] for error in errors] == [str(tmp_path / "broken.png"), "there"]
    assert "choose from test/0 to test/199" in str(errors[1])
    names = {path.name for path in page.parent.glob("*.png")}
    assert names == {f"image-{n}-{kind}.png" for n in (1, 2, 5) for kind in ("attributions", "maps")}
    text = words(page)
    assert "Its true class is" in text and "Light and dark seem" in text
    assert text.count("was set") == 0 and text.count("were set to zero") == 3


def test_light_and_dark_can_be_exchanged(tiny: Run, fashion_splits: Splits, tmp_path: Path):
    pixels = fashion_splits.test.take(torch.tensor([5]))[0, 0]
    Image.fromarray((255 - pixels).numpy()).save(tmp_path / "negative.png")

    def answer(image: str, *, invert: bool):
        _, [found] = look_at_images(
            tiny, [image], invert=invert, layer="block1.conv1", channels=(0,), output=tmp_path / "o", on_error=print
        )
        return found.classes

    assert answer(str(tmp_path / "negative.png"), invert=True) == answer("test/5", invert=False)


def test_the_data_are_not_needed_for_files(tiny: Run, fashion_splits: Splits, tmp_path: Path):
    copy = Run(tmp_path / "copy")
    shutil.copytree(tiny.path, copy.path)
    settings = copy.path / "config.yaml"
    settings.write_text(re.sub(r"^data: .*$", "data: /nowhere", settings.read_text(), flags=re.MULTILINE))
    Image.fromarray(fashion_splits.test.take(torch.tensor([0]))[0, 0].numpy()).save(tmp_path / "boot.png")
    page, [answer] = look_at_images(copy, [str(tmp_path / "boot.png")], on_error=print)
    assert page == copy.path / "look" / "images.html"
    assert answer.classes[0][1] >= answer.classes[1][1]
    with pytest.raises(UserError, match="nowhere"):
        look_at_images(copy, ["test/0"], on_error=print)


def test_no_image_no_page(tiny: Run, tmp_path: Path):
    errors: list[UserError] = []
    assert look_at_images(tiny, ["missing.png"], output=tmp_path / "o", on_error=errors.append) == (None, ())
    assert len(errors) == 1
    assert not (tmp_path / "o").exists()


def test_names_on_the_page_are_escaped(tmp_path: Path):
    Image.new("L", (4, 4)).save(tmp_path / "p.png")
    hostile = "<script>alert('&')</script>"
    section = Section(
        title=hostile,
        text=(hostile,),
        pictures=(Picture(path=tmp_path / "p.png", description=f'"{hostile}'),),
        tables=(Table(head=(hostile, "n"), rows=((hostile, hostile),)),),
    )
    page = write_look_page(tmp_path / "look.html", name=hostile, about=hostile, sections=[section, section])
    html = page.read_text(encoding="utf-8")
    assert "<script" not in html and '""<' not in html
    assert html.count("&lt;script&gt;") == 17  # 3 of the page with its title, 7 of each section and its link
