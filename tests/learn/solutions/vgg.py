"""Solutions of the chapter on VGG, and mistakes that people make."""


def receptive_field(kernels: list[int], strides: list[int]) -> int:
    field, apart = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * apart
        apart *= stride
    return field


def stacked_saving(kernel: int) -> float:
    convolutions = (kernel - 1) // 2
    return 1 - 9 * convolutions / kernel**2


def vgg_parameters(configuration: tuple[int, ...], *, in_channels: int, num_classes: int) -> int:
    total = 0
    for convs, out_channels in zip(configuration, (64, 128, 256, 512, 512), strict=True):
        for _ in range(convs):
            total += (9 * in_channels + 1) * out_channels
            in_channels = out_channels
    return total + (512 * 7 * 7 + 1) * 4096 + 4097 * 4096 + 4097 * num_classes


def _without_strides(kernels: list[int], strides: list[int]) -> int:
    return 1 + sum(kernel - 1 for kernel in kernels)


def _summed(kernels: list[int], strides: list[int]) -> int:
    return sum(kernels)


def _stride_too_early(kernels: list[int], strides: list[int]) -> int:
    field, apart = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        apart *= stride
        field += (kernel - 1) * apart
    return field


def _last_stride(kernels: list[int], strides: list[int]) -> int:
    field, apart = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * apart
        apart = stride
    return field


def _rounded(kernel: int) -> float:
    return round(stacked_saving(kernel), 2)


def _share_left(kernel: int) -> float:
    return 9 * ((kernel - 1) // 2) / kernel**2


def _always_two(kernel: int) -> float:
    return 1 - 18 / kernel**2


def _in_percent(kernel: int) -> float:
    return 100 * stacked_saving(kernel)


def _averaged_to_one(configuration: tuple[int, ...], *, in_channels: int, num_classes: int) -> int:
    return vgg_parameters(configuration, in_channels=in_channels, num_classes=num_classes) - 512 * 48 * 4096


def _no_biases(configuration: tuple[int, ...], *, in_channels: int, num_classes: int) -> int:
    channels = sum(n * c for n, c in zip(configuration, (64, 128, 256, 512, 512), strict=True))
    biases = channels + 2 * 4096 + num_classes
    return vgg_parameters(configuration, in_channels=in_channels, num_classes=num_classes) - biases


def _always_grey(configuration: tuple[int, ...], *, in_channels: int, num_classes: int) -> int:
    return vgg_parameters(configuration, in_channels=1, num_classes=num_classes)


def _same_channels(configuration: tuple[int, ...], *, in_channels: int, num_classes: int) -> int:
    total = vgg_parameters((0, 0, 0, 0, 0), in_channels=in_channels, num_classes=num_classes)
    for convs, out_channels in zip(configuration, (64, 128, 256, 512, 512), strict=True):
        total += convs * (9 * in_channels + 1) * out_channels
        in_channels = out_channels
    return total


MISTAKES = [
    ("receptive_field", _without_strides, "strides are not looked at"),
    ("receptive_field", _summed, "kernel - 1"),
    ("receptive_field", _stride_too_early, "own kernel"),
    ("receptive_field", _last_stride, "multiply"),
    ("stacked_saving", _share_left, "left"),
    ("stacked_saving", _always_two, "three"),
    ("stacked_saving", _in_percent, "percent"),
    ("stacked_saving", _rounded, "rounded"),
    ("vgg_parameters", _averaged_to_one, "25,088"),
    ("vgg_parameters", _no_biases, "bias"),
    ("vgg_parameters", _same_channels, "the second of block 3 reads 256"),
    ("vgg_parameters", _always_grey, "channels"),
]
