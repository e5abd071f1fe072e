"""The expected numbers of parameters of the networks, from the formulas in their papers."""

from torch import nn


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def small_cnn_parameters(
    channels: int, size: int, widths: tuple[int, int], hidden: int, classes: int
) -> int:
    """Count weights and biases layer by layer, with the size of the image."""
    count, depth, side = 0, channels, size
    for width in widths:
        for _ in range(2):
            count += width * (9 * depth + 1)
            depth, side = width, side - 2
        side //= 2
    units = depth * side**2
    for width in (hidden, hidden, classes):
        count += width * (units + 1)
        units = width
    return count


def wide_resnet_parameters(depth: int, width: int, classes: int) -> int:
    """Count by the table in the paper: stem, three groups of blocks, batch norm, head."""
    blocks, count, channels = (depth - 4) // 6, 3 * 16 * 9, 16
    for planes in (16 * width, 32 * width, 64 * width):
        for _ in range(blocks):
            count += 2 * channels + 9 * channels * planes  # batch norm, convolution
            count += 2 * planes + 9 * planes * planes  # batch norm, convolution
            count += channels * planes if channels != planes else 0  # 1x1 shortcut
            channels = planes
    return count + 2 * channels + classes * (channels + 1)
