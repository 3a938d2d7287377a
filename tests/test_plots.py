"""Pictures, compared by what they contain: panels, lines, texts, colours; never pixel by pixel."""

import itertools
import subprocess
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib import style
from matplotlib.colors import to_hex
from PIL import Image

from convscope import plots
from convscope.errors import ConvscopeError, UserError
from convscope.plots.style import LOOK

CLASSES = ["T-shirt/top", "Trouser", "Ankle boot"]


def history(val_losses, rates=None):
    """Epochs with these validation losses; the other columns follow from them."""
    rates = rates or [0.001] * len(val_losses)
    return [
        {
            "epoch": index + 1,
            "train_loss": loss / 2,
            "val_loss": loss,
            "train_accuracy": 1 - loss / 10,
            "val_accuracy": 1 - loss / 5,
            "lr": rate,
            "grad_norm": 2 * loss,
        }
        for index, (loss, rate) in enumerate(zip(val_losses, rates, strict=True))
    ]


def pictures(count, channels=1):
    return np.random.default_rng(0).integers(0, 256, (count, channels, 6, 5), dtype=np.uint8)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def tick_labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


# Curves -----------------------------------------------------------------------------------------------------


def test_curves_draw_training_dashed_and_validation_solid():  # R-A7
    figure = plots.curves({"linear": history([3.0, 2.0, 2.5])})
    loss, accuracy, rate, norm = figure.axes
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["loss", "accuracy", "learning rate", "norm of the gradient"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "epoch", "epoch"]
    train, val, best = loss.lines
    assert (train.get_linestyle(), val.get_linestyle()) == ("--", "-")
    assert train.get_xydata().tolist() == [[1, 1.5], [2, 1.0], [3, 1.25]]
    assert val.get_xydata().tolist() == [[1, 3.0], [2, 2.0], [3, 2.5]]
    assert best.get_xydata().tolist() == [[2, 2.0]]
    assert accuracy.lines[2].get_xydata().tolist() == [[2, 0.6]]
    assert [line.get_ydata().tolist() for line in rate.lines] == [[0.001] * 3]
    assert [line.get_ydata().tolist() for line in norm.lines] == [[6.0, 4.0, 5.0]]  # R-D7


def test_each_run_keeps_one_colour_and_the_legend_lies_outside_the_panels():  # R-B6
    runs = {"linear": history([2.0]), "tinyvgg": history([1.5]), "_bn": history([1.0])}
    figure = plots.curves(runs)
    colours = list(dict.fromkeys(line.get_color() for line in figure.axes[0].lines))
    assert len(colours) == 3
    for axes in figure.axes:
        assert list(dict.fromkeys(line.get_color() for line in axes.lines)) == colours
        assert axes.get_legend() is None
    [legend] = figure.legends
    entries = [text.get_text() for text in legend.get_texts()]
    assert entries == [*runs, "training", "validation", "lowest validation loss"]
    assert [line.get_color() for line in legend.get_lines()[:3]] == colours


def test_twenty_runs_have_twenty_colours():
    figure = plots.curves({f"seed {seed}": history([1.0]) for seed in range(20)})
    assert len({to_hex(line.get_color()) for line in figure.axes[0].lines}) == 20


@pytest.mark.parametrize(
    ("rates", "scale"),
    [
        ([0.1, 0.01, 0.001], "log"),
        ([0.1, 0.05, 0.02], "linear"),
        ([0.1, 0.01, 0.0], "linear"),  # a logarithm has no place for 0
    ],
)
def test_the_learning_rate_axis_is_logarithmic_when_it_spans_a_decade(rates, scale, tmp_path):
    figure = plots.curves({"run": history([3.0, 2.0, 1.0], rates)})
    plots.save_figure(figure, tmp_path / "curves.png")
    assert figure.axes[2].get_yscale() == scale
    # Formula text would show as "$\mathdefault{10^{-2}}$".
    assert not any("$" in label for label in tick_labels(figure.axes[2].yaxis))


def test_a_single_epoch_is_visible_at_a_whole_number():
    figure = plots.curves({"run": history([1.0])})
    for axes in figure.axes:
        assert axes.lines[0].get_marker() != "None"
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_a_diverged_run_marks_its_last_good_epoch(tmp_path):
    figure = plots.curves({"run": history([2.0, 1.0, float("nan")]), "lost": history([float("nan")])})
    rings = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [ring.get_xydata().tolist() for ring in rings] == [[[2, 1.0]]]
    plots.save_figure(figure, tmp_path / "curves.png")


def test_a_run_before_its_first_epoch_is_drawn_beside_others_but_not_alone():
    assert len(plots.curves({"started": [], "run": history([1.0])}).axes) == 4
    with pytest.raises(UserError, match="no epochs"):
        plots.curves({"started": []})


# Calibration


def test_bars_of_reliability_end_at_the_accuracy_and_dots_at_the_confidence():
    bins = [
        SimpleNamespace(low=0.0, high=0.5, images=0, confidence=0.0, accuracy=0.0),
        SimpleNamespace(low=0.5, high=1.0, images=8, confidence=0.9, accuracy=0.75),
    ]
    above, below = plots.reliability(bins).axes
    assert [(bar.get_x(), bar.get_width(), bar.get_height()) for bar in above.patches] == [(0.5, 0.5, 0.75)]
    diagonal, dots = above.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert dots.get_xydata().tolist() == [[0.9, 0.9]]
    assert [bar.get_height() for bar in below.patches] == [1.0]


# Confusion matrix -------------------------------------------------------------------------------------------


def test_confusion_matrix_shows_counts_and_colours_by_row():  # R-A8
    figure = plots.confusion_matrix([[8, 2, 0], [0, 30, 10], [0, 0, 0]], CLASSES)
    axes, bar = figure.axes
    assert texts(axes) == ["8", "2", "0", "0", "30", "10", "0", "0", "0"]
    [cells] = axes.images
    assert cells.get_array().tolist() == [[0.8, 0.2, 0], [0, 0.75, 0.25], [0, 0, 0]]
    assert cells.get_clim() == (0, 1)  # the same colours for every model
    assert tick_labels(axes.xaxis) == tick_labels(axes.yaxis) == CLASSES
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true", "predicted")
    assert axes.get_title(loc="left") == "38 of 50 right (76.0%)"
    assert bar.get_ylabel() == "share of the true class"


def test_numbers_in_cells_stand_out_from_their_ground():
    figure = plots.confusion_matrix([[70, 30], [0, 100]], ["cat", "dog"])
    axes = figure.axes[0]
    [cells] = axes.images
    grounds = cells.cmap(cells.norm(cells.get_array())).reshape(-1, 4)
    for text, ground in zip(axes.texts, grounds, strict=True):
        if text.get_text() != "0":  # zeros are pale on purpose
            darkness = [1 - np.mean(matplotlib.colors.to_rgb(colour)) for colour in (text.get_color(), ground)]
            assert abs(darkness[0] - darkness[1]) > 0.4


def test_class_names_turn_only_where_they_are_long():
    turned = [
        plots.confusion_matrix(np.eye(10, dtype=int), [f"{word}{index}" for index in range(10)])
        .axes[0]
        .get_xticklabels()[0]
        .get_rotation()
        for word in ("", "ankle boot ")
    ]
    assert turned == [0, 45]


def test_a_hundred_classes_fit(tmp_path):
    names = [f"class {index}" for index in range(100)]
    figure = plots.confusion_matrix(np.ones((100, 100), dtype=int), names)
    assert texts(figure.axes[0]) == []
    plots.save_figure(figure, tmp_path / "confusion.png")
    labels = figure.axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == names
    boxes = [label.get_window_extent() for label in labels]
    assert not any(above.overlaps(below) for above, below in itertools.pairwise(boxes))


# Grids of images --------------------------------------------------------------------------------------------


def test_prediction_grid_marks_the_wrong_ones_in_red():  # R-A8, R-E7
    figure = plots.prediction_grid(pictures(2), [1, 2], [1, 0], CLASSES, confidences=[0.87, 0.412])
    right, wrong = figure.axes
    assert (right.get_title(), right.get_xlabel()) == ("Trouser (87%)", "true: Trouser")
    assert (wrong.get_title(), wrong.get_xlabel()) == ("T-shirt/top (41%)", "true: Ankle boot")
    red, _, blue = matplotlib.colors.to_rgb(wrong.spines["left"].get_edgecolor())
    assert red > 0.7 and blue < 0.2
    assert to_hex(wrong.xaxis.label.get_color()) == to_hex(wrong.spines["left"].get_edgecolor())
    red, green, blue = matplotlib.colors.to_rgb(right.spines["left"].get_edgecolor())
    assert red == green == blue
    # Not by colour alone.
    assert wrong.spines["left"].get_linewidth() > 2 * right.spines["left"].get_linewidth()


def test_prediction_grid_without_confidences_names_the_class_alone():
    figure = plots.prediction_grid(pictures(1), [0], [1], CLASSES)
    assert figure.axes[0].get_title() == "Trouser"


@pytest.mark.parametrize(("count", "columns", "shape"), [(5, 8, (1, 5)), (10, 4, (3, 4)), (1, 1, (1, 1))])
def test_grids_wrap_and_leave_no_empty_frames(count, columns, shape):
    labels = [0] * count
    figure = plots.prediction_grid(pictures(count), labels, labels, CLASSES, columns=columns)
    assert len(figure.axes) == count
    assert figure.axes[0].get_gridspec().get_geometry() == shape


def test_grey_and_colour_images_reach_the_picture_unchanged():
    for channels, layout in ((1, lambda image: image[0]), (3, lambda image: image.transpose(1, 2, 0))):
        images = pictures(2, channels)
        figure = plots.sample_strip(images, [0, 1], CLASSES)
        for axes, image in zip(figure.axes, images, strict=True):
            assert np.array_equal(axes.images[0].get_array(), layout(image))
            # A dark image stays dark: grey is not stretched to the image's own range.
            assert axes.images[0].get_clim() == (0, 255)


@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (2, 4, 4), (2, 2, 4, 4)])
def test_what_is_no_image_is_refused_with_its_shape(shape):
    with pytest.raises(UserError, match=str(shape).replace("(", r"\(").replace(")", r"\)")):
        plots.sample_strip(np.zeros(shape, dtype=np.uint8), [0] * shape[0], CLASSES)


# The data set -----------------------------------------------------------------------------------------------


def test_sample_strip_names_the_classes():  # R-D3
    figure = plots.sample_strip(pictures(12), [2, 1] * 6, CLASSES)
    assert [axes.get_xlabel() for axes in figure.axes] == ["Ankle boot", "Trouser"] * 6


def test_class_distribution_has_a_bar_with_its_number_for_each_class():  # R-D3
    figure = plots.class_distribution([1200, 0, 34], CLASSES)
    [axes] = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [1200, 0, 34]
    assert texts(axes) == ["1,200", "0", "34"]
    assert tick_labels(axes.yaxis) == CLASSES
    assert axes.yaxis_inverted()  # the first class on top
    assert axes.get_title(loc="left") == "1,234 images"


def test_mean_images_show_one_picture_a_class_on_one_scale():
    means = np.stack([np.full((1, 4, 4), value) for value in (0.1, 0.5, 0.9)])
    figure = plots.mean_images(means, CLASSES)
    assert [axes.get_xlabel() for axes in figure.axes] == CLASSES
    assert {axes.images[0].get_clim() for axes in figure.axes} == {(0, 1)}


def test_image_sizes_show_the_photos_and_the_square_they_become(tmp_path):  # R-D3
    figure = plots.image_sizes([640, 640, 50, 300], [480, 480, 900, 200], 128)
    axes, scale = figure.axes
    [cells] = axes.collections
    assert sorted(cells.get_array()) == [1, 1, 2]
    assert axes.get_title(loc="left") == "4 photos, 3 sizes"
    assert axes.lines[0].get_xydata().tolist() == [[0, 128], [128, 128], [128, 0]]
    assert axes.get_xlim()[1] == axes.get_ylim()[1] > 900
    assert scale.get_ylabel() == "photos"
    plots.save_figure(plots.image_sizes([180] * 5, [180] * 5, 128), tmp_path / "one size.png")


# Names, styles, files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["$x^$", "a_b", "靴", "two\nlines", "_hidden", "{brace} %d \\frac"])
def test_any_class_name_can_be_drawn(name, tmp_path):
    for figure in (
        plots.sample_strip(pictures(1), [0], [name]),
        plots.confusion_matrix([[1, 0], [0, 1]], [name, "other"]),
        plots.class_distribution([1], [name]),
        plots.curves({name: history([1.0])}),
    ):
        plots.save_figure(figure, tmp_path / "picture.png")


def test_long_names_are_shortened():
    figure = plots.sample_strip(pictures(1), [0], ["a very long name of a class indeed"])
    assert figure.axes[0].get_xlabel() == "a very long name …"


def test_a_dark_style_of_a_notebook_changes_nothing(tmp_path):
    plots.save_figure(plots.curves({"run": history([2.0, 1.0])}), tmp_path / "plain.png")
    with style.context("dark_background"):
        plots.save_figure(plots.curves({"run": history([2.0, 1.0])}), tmp_path / "dark.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "dark.png").read_bytes()


def test_the_same_figure_gives_the_same_bytes_and_no_metadata(tmp_path):
    for name in ("one.png", "two.png"):
        plots.save_figure(plots.class_distribution([1, 2, 3], CLASSES), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        assert set(image.info) <= {"dpi"}
        assert image.getpixel((0, 0))[:3] == (255, 255, 255)


def test_a_saved_figure_is_what_matplotlib_saves_and_as_it_was(tmp_path):
    figure = plots.sample_strip(pictures(3), [0, 1, 2], CLASSES)
    plots.save_figure(figure, tmp_path / "ours.png")
    assert figure.dpi == matplotlib.figure.Figure().dpi
    with style.context(["default", LOOK]):
        figure.savefig(tmp_path / "theirs.png", dpi=150, metadata={"Software": None})
    assert (tmp_path / "ours.png").read_bytes() == (tmp_path / "theirs.png").read_bytes()


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")

    class Broken(matplotlib.figure.Figure):
        def draw(self, renderer):
            raise OSError(28, "No space left on device")

    with pytest.raises(ConvscopeError, match="No space left"):
        plots.save_figure(Broken(), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_drawing_needs_neither_pyplot_nor_torch():
    code = "import sys, convscope.plots, convscope.metrics; print({'matplotlib.pyplot', 'torch'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_drawing_for_a_page_takes_the_colours_of_the_page_and_escapes_names():
    name = '</g><script>alert("1")</script>'
    text = plots.svg(plots.curves({name: history([2.0, 1.0])}))
    assert text == plots.svg(plots.curves({name: history([2.0, 1.0])}))
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(text).iter()}
    assert {"svg", "text", "path"} <= tags
    assert tags.isdisjoint({"script", "style", "metadata", "image"})
    assert "var(--ink)" in text and "var(--line)" in text
    assert "#222222" not in text and "fill: #ffffff" not in text
    assert '<g id="' not in text


@pytest.mark.parametrize("shares", [[0.2, 5.0], [1e-5, 5.0]])
def test_shares_through_depth_are_labelled_in_plain_numbers(shares):  # R-F2
    names = ["conv1", "output"]
    text = plots.svg(plots.through_depth(names, [0.0, 0.1], [1.0, 0.5], shares, [None, 0.1]))
    assert "mathdefault" not in text
    assert all(f">{name}<" in text for name in names)
