"""Exercises of the chapter on images as tensors."""

from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal


def _check_place(answer: Callable[..., Any]) -> None:
    shapes = (((2, 1, 3, 4), (3, 5, 7)), ((1, 2, 0, 1), (3, 2, 2)), ((0, 0, 5, 20), (1, 28, 28)))
    for (n, c, h, w), (channels, height, width) in shapes:
        expect_equal(
            answer(n, c, h, w, channels=channels, height=height, width=width),
            ((n * channels + c) * height + h) * width + w,
            call=f"place({n}, {c}, {h}, {w}, channels={channels}, height={height}, width={width})",
            hints={
                ((n * height + h) * width + w) * channels + c: "that is the place in (N, H, W, C), channels last",
                ((n * channels + c) * width + w) * height + h: "W moves fastest: the next number is the pixel to the "
                "right, not the one below",
                ((n * channels + c) * height + h) * height + w: "a row is as long as the image is wide",
                ((n * channels + c) * height + w) * width + h: "h counts rows, each of which is `width` numbers long",
                (c * height + h) * width + w: "all channels of the images before lie in front of it",
                (n * height + h) * width + w: "all channels before it, and those of the images before, lie in front",
                ((n * channels + c) * height + h) * width + w + 1: "places are counted from 0",
            },
        )


def _check_to_nchw(answer: Callable[..., Any]) -> None:
    import torch

    photo = torch.tensor([[[255, 0, 51], [10, 102, 204]]], dtype=torch.uint8)
    wanted = photo.permute(2, 0, 1)[None].float() / 255
    given = photo.clone()
    got = answer(given)
    call = "to_nchw of a photo (1, 2, 3)"
    if not torch.equal(given, photo):
        raise Wrong(f"{call} changed the photo it was given: make a new tensor instead.")
    if isinstance(got, torch.Tensor):
        _check_axes(got, photo, call)
    expect_equal(
        got,
        wanted,
        call=call,
        hints={
            photo.permute(2, 0, 1)[None].float(): "the numbers are to lie in [0, 1]: divide them by 255",
            photo.permute(2, 0, 1)[None] // 255: "// drops the fraction: / keeps it",
            wanted.flip(1): "red stays the first channel, and blue the last",
            photo.permute(2, 0, 1)[None].float() / 256: "white is 255, and is to become 1 exactly",
            photo.permute(2, 0, 1)[None].float() / 127.5 - 1: "that is [-1, 1], but [0, 1] was asked for",
        },
    )
    dark = torch.full((1, 2, 3), 51, dtype=torch.uint8)
    expect_equal(
        answer(dark),
        torch.full((1, 3, 1, 2), 0.2),
        call="to_nchw of a photo (1, 2, 3) whose pixels are all 51",
        hints={torch.ones(1, 3, 1, 2): "divide by 255, and not by the brightest pixel, or dark photos become bright"},
    )


def _check_axes(got: Any, photo: Any, call: str) -> None:
    """Shapes that tell what was done."""
    wanted = photo.permute(2, 0, 1)[None]
    if got.shape in (photo.shape, (1, *photo.shape)):
        raise Wrong(f"{call} gave shape {tuple(got.shape)}: the channels are still last, permute moves the axes.")
    if got.shape in (photo.permute(2, 1, 0).shape, (1, *photo.permute(2, 1, 0).shape)):
        raise Wrong(f"{call} gave shape {tuple(got.shape)}: rows and columns have changed places too.")
    if got.shape == wanted[0].shape:
        raise Wrong(f"{call} gave shape {tuple(got.shape)}: a batch of one image has a first axis N, of length 1.")
    if got.shape == wanted.shape and got.is_floating_point():
        scrambled = photo.reshape(wanted.shape).double()
        if any(got.double().isclose(scrambled / scale, rtol=1e-3).all() for scale in (1, 255)):
            raise Wrong(
                f"{call} has the right shape, but scrambled pixels: reshape leaves the numbers in the order in which "
                "they lie in memory, permute(2, 0, 1) moves the axes."
            )
    if got.shape == wanted.shape and not got.is_floating_point():
        raise Wrong(f"{call} gave {str(got.dtype).removeprefix('torch.')}: float32 was asked for, so that 0.2 fits.")


def _check_channel_mean_std(answer: Callable[..., Any]) -> None:
    import torch

    images = torch.tensor(
        [
            [[[0, 0], [0, 255]], [[51, 51], [51, 51]]],
            [[[0, 0], [0, 0]], [[204, 204], [204, 204]]],
            [[[255, 255], [0, 0]], [[51, 204], [51, 204]]],
        ],
        dtype=torch.uint8,
    )
    x = images.float() / 255
    mean, std = x.mean(dim=(0, 2, 3)), x.std(dim=(0, 2, 3), correction=0)
    call = "channel_mean_std of 3 images with 2 channels"
    given = images.clone()
    got = answer(given)
    if not torch.equal(given, images):
        raise Wrong(f"{call} changed the images it was given: make a new tensor instead.")
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong(f"{call} is to give two tensors, mean and std: `return mean, std`.")
    expect_equal(
        got[0],
        mean,
        call=f"the mean of {call}",
        hints={
            x.mean(): "that is one mean for all channels: leave axis 1 out of dim",
            mean * 255: "that is the mean of the bytes: divide the pixels by 255 first",
            x.mean(dim=(1, 2, 3)): "these are means of whole images: axis 1, the channels, is to stay",
            std: "that is the deviation: the mean comes first",
            x.mean(dim=(2, 3)): "these are the means of single images: the images, axis 0, belong to dim too",
            x.mean(dim=0): "that is the mean image: rows and columns, axes 2 and 3, belong to dim too",
            mean / 2: "the sum is divided by too much: a channel's mean is over the pixels of that channel alone",
        },
    )
    expect_equal(
        got[1],
        std,
        call=f"the standard deviation of {call}",
        hints={
            x.std(dim=(2, 3), correction=0).mean(dim=0): "that is the average of the images' own deviations, which is "
            "smaller: take all pixels of all images together",
            x.std(dim=(2, 3)).mean(dim=0): "that is the average of the images' own deviations, which is smaller: take "
            "all pixels of all images together",
            x.std(dim=(0, 2, 3)): "it is divided by the number of pixels less one; with correction=0 by the number of "
            "pixels",
            x.mean(dim=(2, 3)).std(dim=0, correction=0): "that is how far the images' means differ: "
            "take all pixels of all images together",
            std**2: "that is the variance: its root is the deviation",
            std * 255: "that is the deviation of the bytes: divide the pixels by 255 first",
            x.std(correction=0): "that is one deviation for all channels: leave axis 1 out of dim",
        },
    )


def _check_standardise(answer: Callable[..., Any]) -> None:
    import torch

    grey = torch.tensor([[[[0, 255, 51]]]], dtype=torch.uint8)
    x = grey.float() / 255
    call = "standardise of a grey image (1, 1, 1, 3) of 0, 255 and 51, with mean (0.2,) and std (0.4,)"
    given = grey.clone()
    got = answer(given, (0.2,), (0.4,))
    if not torch.equal(given, grey):
        raise Wrong(f"{call} changed the image it was given: make a new tensor instead.")
    expect_equal(
        got,
        (x - 0.2) / 0.4,
        call=call,
        hints={
            (grey - 0.2) / 0.4: "mean and std are meant for pixels in [0, 1]: divide the bytes by 255 first",
            (grey - 255 * 0.2) / 0.4: "std is meant for pixels in [0, 1] too: divide the bytes by 255 first",
            x / 0.4 - 0.2: "the mean is subtracted first, then all of it is divided by std",
            x - 0.2 / 0.4: "brackets: the difference is divided by std, and not the mean alone",
            (x - 0.2) / 0.4**2: "std is the deviation already, and not to be squared",
            (x - 0.2) * 0.4: "it is to be divided by std, so that the deviation becomes 1",
            (x - 0.4) / 0.2: "mean and std have changed places",
            x / 0.4: "the mean is to be subtracted first",
            x - 0.2: "it is to be divided by std as well",
            (x - x.mean()) / x.std(): "take the mean and std that were given, not those of this batch",
            (x - x.mean()) / x.std(correction=0): "take the mean and std that were given, not those of this batch",
        },
    )

    images = torch.arange(0, 160, 10, dtype=torch.uint8).view(2, 2, 2, 2)
    means, deviations = (0.2, 0.4), (0.4, 0.2)
    x = images.float() / 255
    mean, std = torch.tensor(means).view(2, 1, 1), torch.tensor(deviations).view(2, 1, 1)
    first = (x - means[0]) / deviations[0]
    expect_equal(
        answer(images.clone(), means, deviations),
        (x - mean) / std,
        call="standardise of images (2, 2, 2, 2) with mean (0.2, 0.4) and std (0.4, 0.2)",
        hints={
            first: "the second channel has a mean and a deviation of its own",
            (first - means[1]) / deviations[1]: "each channel is to be scaled once, with its own mean and std",
            (x - mean.view(2)) / std.view(2): "mean and std went along the last axis, the columns: give them the "
            "shape (C, 1, 1)",
            (x - mean.view(2, 1)) / std.view(2, 1): "mean and std went along the rows: give them the shape (C, 1, 1)",
            (x - mean.view(2, 1, 1, 1)) / std.view(2, 1, 1, 1): "mean and std went along the first axis, the images: "
            "give them the shape (C, 1, 1)",
        },
    )


EXERCISES = (
    Exercise(
        name="place",
        task="""
            Where number (n, c, h, w) of a batch (N, C, H, W) lies in memory, counted from 0. There the numbers of a row
            stand side by side, then comes the next row, then the next channel, then the next image. For 3 channels of
            2 x 2 pixels, (1, 2, 0, 1) lies at 21.
            """,
        stub="def place(n: int, c: int, h: int, w: int, *, channels: int, height: int, width: int) -> int:",
        check=_check_place,
    ),
    Exercise(
        name="to_nchw",
        task="""
            A photo as Pillow and NumPy keep it, uint8 (H, W, 3), as a batch of one image for a network: float32
            (1, 3, H, W), 0 for black and 1 for white. A photo (480, 640, 3) becomes (1, 3, 480, 640).
            """,
        stub="def to_nchw(photo: Tensor) -> Tensor:",
        check=_check_to_nchw,
    ),
    Exercise(
        name="channel_mean_std",
        task="""
            Mean and standard deviation of each channel over all pixels of all images uint8 (N, C, H, W), for pixels in
            [0, 1]: two tensors (C,). The deviation is that of the pixels there are, divided by their number. Images
            whose pixels are half black and half white have mean 0.5 and deviation 0.5.
            """,
        stub="def channel_mean_std(images: Tensor) -> tuple[Tensor, Tensor]:",
        check=_check_channel_mean_std,
    ),
    Exercise(
        name="standardise",
        task="""
            Images uint8 (N, C, H, W) as a network takes them: float32 of the same shape. The pixels are brought to
            [0, 1]; then the mean of their channel is subtracted, and they are divided by its standard deviation. With
            mean (0.2,) and std (0.4,), black becomes -0.5 and white 2.
            """,
        stub="def standardise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:",
        check=_check_standardise,
    ),
)
