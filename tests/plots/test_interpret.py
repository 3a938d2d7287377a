"""Pictures of the inside of a network, compared by what they contain; never pixel by pixel."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from convscope import plots
from convscope.plots.style import WRONG

CLASSES = ("shirt", "coat", "bag")


def random(*shape):
    return np.random.default_rng(0).random(shape)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def row_names(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def test_grey_filters_are_coloured_by_sign_on_one_scale():  # R-A9
    pictures = np.array([[[[0.5, 1.0]]], [[[0.0, 0.75]]]])  # weights 0, 2; -2, 1
    figure = plots.filters(pictures, 2.0, "conv1")
    axes, bar = figure.axes
    zero, largest = axes.images[0].get_array()[0]
    smallest, half = axes.images[1].get_array()[0]
    assert zero.min() > 0.95  # white
    assert largest[0] > largest[2] and smallest[2] > smallest[0]  # red above zero, blue below
    assert half[0] > half[2] and half.min() > largest.min()
    assert bar.get_ylim() == (-2, 2)
    assert axes.get_title(loc="left") == "conv1: 2 filters of 1 x 1 x 2"
    assert texts(axes) == ["0", "1"]


def test_colour_filters_are_shown_in_their_colours():
    pictures = random(20, 3, 5, 4)
    figure = plots.filters(pictures, 1.0, "conv1")
    [axes] = figure.axes
    assert len(axes.images) == 20
    np.testing.assert_allclose(axes.images[3].get_array(), pictures[3].transpose(1, 2, 0))


def test_activation_maps_have_a_row_a_layer_and_a_scale_each(tmp_path):  # R-A9
    maps = np.array([[[0.0, 1.0]], [[0.0, -100.0]]])
    image = np.full((1, 6, 6), 128, dtype=np.uint8)
    figure = plots.activation_maps(image, {"conv1": ([3, 7], maps), "conv2": ([0], random(1, 2, 2))})
    [axes] = figure.axes
    assert row_names(axes) == ["the image", "conv1\n1 x 2", "conv2\n2 x 2"]
    assert texts(axes) == ["3", "7", "0"]
    picture, above, below, _ = (shown.get_array() for shown in axes.images)
    np.testing.assert_allclose(picture, 128 / 255)
    assert above[0, 1, 0] > above[0, 1, 2] and below[0, 1, 2] > below[0, 1, 0]
    np.testing.assert_allclose(above[0, 0], below[0, 0])
    plots.save_figure(figure, tmp_path / "maps.png")


def test_a_dead_channels_map_is_white():
    figure = plots.activation_maps(random(3, 4, 4), {"conv1": ([0], np.zeros((1, 3, 3)))})
    assert figure.axes[0].images[1].get_array().min() > 0.95


def test_patches_are_cut_out_and_framed_in_their_images():
    images = random(2, 1, 8, 8)
    figure = plots.exciting_patches("conv2", {5: [(images[0], (2, 1, 5, 6), 3.25), (images[1], (0, 0, 8, 8), 1.0)]})
    [axes] = figure.axes
    assert row_names(axes) == ["channel 5", "from"]
    assert texts(axes) == ["3.25", "1"]
    np.testing.assert_allclose(axes.images[0].get_array()[:, :, 0], images[0, 0, 1:6, 2:5])
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_linewidth() > 1]
    picture = axes.images[2].get_extent()
    assert frames[0].get_x() - picture[0] == pytest.approx(2 / 8)
    assert frames[0].get_y() - picture[3] == pytest.approx(1 / 8)
    assert (frames[0].get_width(), frames[0].get_height()) == pytest.approx((3 / 8, 5 / 8))


def test_patches_that_are_whole_images_are_shown_once():
    figure = plots.exciting_patches("conv9", {0: [(random(3, 4, 4), (0, 0, 4, 4), 1.0)]})
    assert row_names(figure.axes[0]) == ["channel 0"]


def test_attributions_lie_below_their_images_and_wrong_captions_are_red():
    images = random(3, 3, 6, 6)
    maps = np.zeros((3, 6, 6))
    maps[:, 2, 3] = 5.0
    figure = plots.attributions(images, {"grad-cam": maps}, ["a 9%", "b 8%", "c 7%"], [True, False, True])
    [axes] = figure.axes
    assert row_names(axes) == ["the image", "grad-cam"]
    assert len(axes.images) == 6
    assert [text.get_color() == WRONG for text in axes.texts] == [False, True, False]
    overlay, grey = axes.images[3].get_array(), images[0].mean(axis=0)
    changed = np.abs(overlay - grey[:, :, None] * 0.75).max(axis=2)
    assert np.unravel_index(changed.argmax(), changed.shape) == (2, 3)


def test_methods_stand_side_by_side_for_a_single_image():
    methods = ("grad-cam", "guided", "occlusion")
    figure = plots.attributions(random(1, 1, 6, 6), {name: random(1, 6, 6) for name in methods}, ["shirt 90%"], [True])
    assert texts(figure.axes[0]) == ["shirt 90%", *methods]
    assert figure.get_figwidth() > 2 * figure.get_figheight()


def test_the_embedding_names_every_class_that_is_there_and_crosses_mistakes():
    points = random(40, 2)
    labels = np.arange(40) % 2
    predictions = labels.copy()
    predictions[[4, 9]] = 2
    figure = plots.embedding(points, labels, predictions, CLASSES, ("first", "second"))
    [axes] = figure.axes
    assert sorted(texts(axes)) == ["coat", "shirt"]
    every, wrong = axes.collections
    np.testing.assert_allclose(every.get_offsets(), points)
    np.testing.assert_allclose(wrong.get_offsets(), points[[4, 9]])
    assert axes.get_title(loc="left") == "40 images, 2 of them predicted wrongly"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("first", "second")
    first, second = (text.get_position()[1] for text in axes.texts)
    assert abs(first - second) >= 0.03 * np.ptp(points[:, 1]) - 1e-9  # names do not cover each other


@pytest.mark.parametrize("count", [2, 15, 100])
def test_classes_have_colours_of_their_own(count, tmp_path):
    labels = np.arange(2 * count) % count
    figure = plots.embedding(random(2 * count, 2), labels, labels, [f"c{n}" for n in range(count)], ("x", "y"))
    every = figure.axes[0].collections[0]
    assert len({tuple(colour) for colour in every.get_facecolors()}) == count
    plots.save_figure(figure, tmp_path / "embedding.png")


def test_channels_are_ordered_by_how_much_they_are_missed(tmp_path):
    change = np.array([0.01, -0.2, -0.05])
    by_class = np.array([[0.01, 0.01, np.nan], [-0.6, 0.0, np.nan], [0.0, -0.1, np.nan]])
    figure = plots.channel_effects([4, 8, 15], change, by_class, CLASSES, "conv5")
    above, below = figure.axes
    assert [bar.get_height() for bar in above.patches] == [-0.2, -0.05, 0.01]
    assert row_names(below) == ["channel 8", "channel 15", "channel 4"]
    assert texts(below) == ["-60.0%", "+0.0%", "+0.0%", "-10.0%", "+1.0%", "+1.0%"]  # no word on a class without images
    plots.save_figure(figure, tmp_path / "effects.png")
