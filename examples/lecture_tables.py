"""The comparisons of CS231n's lecture on architectures: what each idea costs, computed here, beside the papers' accuracy.

    python examples/lecture_tables.py
    python examples/lecture_tables.py --out runs/lecture

Every number of parameters and multiply-adds, every shape and receptive field comes from ``minigrad.summary``, which runs the
networks without values. Errors on ImageNet are quoted from the papers, with the way they were measured; nothing is trained.
It leaves in --out a picture of error against cost.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import minigrad
from minigrad import nn
from minigrad.vision import models
from minigrad.vision.models.googlenet import Inception
from minigrad.vision.models.googlenet_original import ConvReLU, NaiveInception

try:
    import matplotlib
    from matplotlib import pyplot
except ModuleNotFoundError as missing:
    sys.exit(f"lecture_tables: {missing.name} is not installed; the extra [examples] brings it: pip install -e '.[examples]'")

IMAGE = (1, 3, 224, 224)


class Quoted(NamedTuple):
    """What a paper says of a network on ImageNet's validation images; errors in percent, None where it does not say."""

    top1: float | None
    top5: float | None
    how: str  # it was measured
    paper: str


# He et al. have two more variants of their ResNet-34; B has projections where the network here has them. Their deeper networks
# halve the image in a block's 1×1 convolution, the ones here, as torchvision's, in its 3×3, which costs a little more.
QUOTED = {
    "alexnet_original": Quoted(40.7, 18.2, "ten crops", "Krizhevsky et al. 2012, table 2"),
    "vgg16": Quoted(25.6, 8.1, "whole images, sizes varied in training", "Simonyan and Zisserman 2014, table 3"),
    "vgg19": Quoted(25.5, 8.0, "whole images, sizes varied in training", "Simonyan and Zisserman 2014, table 3"),
    "googlenet_original": Quoted(None, 10.07, "one crop", "Szegedy et al. 2014, table 3"),
    "resnet34": Quoted(24.52, 7.46, "ten crops", "He et al. 2015, table 3"),
    "resnet50": Quoted(22.85, 6.71, "ten crops", "He et al. 2015, table 3"),
    "resnet101": Quoted(21.75, 6.05, "ten crops", "He et al. 2015, table 3"),
    "resnet152": Quoted(21.43, 5.71, "ten crops", "He et al. 2015, table 3"),
    "wide_resnet50_2": Quoted(21.9, 6.03, "one crop", "Zagoruyko and Komodakis 2016, table 8"),
    "resnext50_32x4d": Quoted(22.2, None, "one crop", "Xie et al. 2016, table 3"),
    "resnext101_64x4d": Quoted(20.4, 5.3, "one crop", "Xie et al. 2016, table 4"),
    "densenet121": Quoted(23.61, 6.66, "ten crops", "Huang et al. 2016, table 3"),
    "densenet169": Quoted(22.08, 5.92, "ten crops", "Huang et al. 2016, table 3"),
    "densenet201": Quoted(21.46, 5.54, "ten crops", "Huang et al. 2016, table 3"),
}


def quoted(*names: str) -> dict[str, Quoted]:
    return {name: QUOTED[name] for name in names}


# The lecture's comparisons: a title, and the networks side by side; measured alike wherever a paper has both.
COMPARISONS = {
    "Deeper: the contest's first networks": quoted("alexnet_original", "vgg16", "vgg19", "googlenet_original"),
    "Much deeper: residual networks": quoted("resnet34", "resnet50", "resnet101", "resnet152"),
    "Wider instead of deeper": {
        "resnet152": Quoted(22.16, 6.16, "one crop", "Zagoruyko and Komodakis 2016, table 8"),
        **quoted("wide_resnet50_2"),
    },
    "Groups, at equal parameters and operations": {
        "resnet50": Quoted(23.9, None, "one crop", "Xie et al. 2016, table 3"),
        **quoted("resnext50_32x4d"),
    },
    "Dense connections, at a fraction of the parameters": quoted(
        "resnet50", "densenet121", "densenet169", "resnet101", "densenet201"
    ),
}


def table(heading: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """Columns as wide as they must be: the first to the left, the others to the right."""
    lines = [heading, *[tuple(str(cell) for cell in row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heading))]
    return "\n".join(
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths)))
        for line in lines
    )


def layer_sizes() -> str:
    """AlexNet, layer by layer: 227 → 55 → 27 → 13 → 6."""
    costs = minigrad.summary(models.alexnet_original(), (1, 3, 227, 227), training=False)
    rows = []
    for row in costs.rows:
        if row.kind in ("Conv2d", "MaxPool2d", "Linear"):
            _, channels, *size = row.output_shape
            shape = "×".join(str(n) for n in (channels, *size))
            field = str(row.receptive_field).partition(" ")[0]
            rows.append((row.kind, shape, f"{row.parameters:,}", f"{row.multiply_adds / 1e6:.1f}", field))
    total = ("in all", "", f"{costs.parameters:,}", f"{costs.multiply_adds / 1e6:.1f}", "")
    return table(("layer", "output", "parameters", "million multiply-adds", "receptive field"), [*rows, total])


def small_filters(channels: int = 64, size: int = 56) -> str:
    """Three convolutions of 3×3 see as much as one of 7×7, with fewer parameters (VGG's argument)."""

    def convolutions(count: int, kernel_size: int) -> nn.Module:
        layers: list[nn.Module] = []
        for _ in range(count):
            layers += [nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, bias=False), nn.ReLU()]
        return nn.Sequential(*layers)

    rows = []
    for title, network in (("three 3×3", convolutions(3, 3)), ("one 7×7", convolutions(1, 7))):
        costs = minigrad.summary(network, (1, channels, size, size))
        field = costs[""].receptive_field
        assert field is not None  # there is an image
        multiple = costs.parameters // channels**2
        rows.append((title, f"{field.size[0]}×{field.size[1]}", f"{multiple} C² = {costs.parameters:,}", millions(costs)))
    return table(("", "receptive field", f"parameters for C = {channels}", "million multiply-adds"), rows)


def inception_modules() -> str:
    """The naive Inception module beside the one whose 1×1 convolutions come first, on the lecture's 28×28×256.

    The lecture's slide gives 358 million operations for the second, but its lines add up to the 271 million found here.
    """
    naive = NaiveInception(256, 128, 192, 96)
    bottleneck = Inception(256, 128, 64, 192, 64, 96, 64, large=5, convolution=ConvReLU)
    rows = []
    for title, module in (("naive", naive), ("1×1 convolutions first", bottleneck)):
        costs = minigrad.summary(module, (1, 256, 28, 28))
        rows.append((title, costs[""].output_shape[1], f"{costs.parameters:,}", millions(costs)))
    return table(("Inception module", "channels out", "parameters", "million multiply-adds"), rows)


def millions(costs: minigrad.costs.Summary) -> str:
    return f"{costs.multiply_adds / 1e6:.0f}"


def costs_of(names: set[str]) -> dict[str, minigrad.costs.Summary]:
    """What a network costs for one image, in evaluation; GoogLeNet's auxiliary heads, which then do not run, left out."""
    found = {}
    for name in sorted(names):
        options = {"aux_logits": False} if "googlenet" in name else {}
        shape = (1, 3, 227, 227) if name == "alexnet_original" else IMAGE
        with minigrad.device("meta"):
            model = models.get_model(name, **options)
        found[name] = minigrad.summary(model, shape, training=False)
    return found


def comparison(networks: dict[str, Quoted], costs: dict[str, minigrad.costs.Summary]) -> str:
    rows = []
    for name, (top1, top5, how, paper) in networks.items():
        errors = [f"{error:g}" if error is not None else "-" for error in (top1, top5)]
        numbers = (f"{costs[name].parameters / 1e6:.1f}", f"{costs[name].multiply_adds / 1e9:.2f}")
        rows.append((name, *numbers, *errors, f"{how}; {paper}"))
    heading = ("network", "million parameters", "10⁹ multiply-adds", "top-1 error", "top-5 error", "errors in percent, quoted")
    return table(heading, rows)


def draw(path: Path, costs: dict[str, minigrad.costs.Summary]) -> None:
    """Quoted top-5 error against computed operations.

    The area of a mark is the number of parameters; its shape says how the error was measured.
    """
    figure, axis = pyplot.subplots(figsize=(9, 6), layout="constrained")
    families = {
        "alexnet": "C0",
        "vgg": "C1",
        "googlenet": "C2",
        "resnet": "C3",
        "wide": "C4",
        "resnext": "C5",
        "densenet": "C6",
    }
    markers = dict(zip(dict.fromkeys(quoted.how for quoted in QUOTED.values()), "osD"))
    for name, (_, top5, how, _) in QUOTED.items():
        if top5 is None:
            continue
        color = next(color for family, color in families.items() if name.startswith(family))
        x, area = costs[name].multiply_adds / 1e9, costs[name].parameters / 1e6 * 8
        axis.scatter(x, top5, area, color=color, marker=markers[how], alpha=0.5, edgecolors="black", linewidths=0.5)
        axis.annotate(name, (x, top5), fontsize=8, xytext=(6, 6), textcoords="offset points")
    for how, marker in markers.items():
        axis.scatter([], [], color="white", marker=marker, edgecolors="black", label=how)
    axis.legend(title="how the error was measured")
    axis.set(
        xscale="log",
        xlabel="multiply-adds for an image (10⁹), computed",
        ylabel="top-5 error on ImageNet (%), from the papers",
        title="Error against cost; the area of a mark is the number of parameters",
    )
    axis.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description="Print the lecture's comparisons of architectures.")
    parser.add_argument("--out", type=Path, default=Path("runs/lecture"), help="folder for the picture")
    arguments = parser.parse_args()
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"lecture_tables: {error}", file=sys.stderr)
        return 1
    for title, text in (
        ("AlexNet as the paper has it: 227 → 55 → 27 → 13 → 6", layer_sizes()),
        ("Small filters, more of them", small_filters()),
        ("Bottlenecks: 28×28×256 into 128 of 1×1, 192 of 3×3, 96 of 5×5, and pooling", inception_modules()),
    ):
        print(f"{title}\n\n{text}\n")
    costs = costs_of(set(QUOTED))
    for title, networks in COMPARISONS.items():
        print(f"{title}\n\n{comparison(networks, costs)}\n")
    picture = arguments.out / "error_against_cost.png"
    draw(picture, costs)
    print(f"picture: {picture}")
    return 0


if __name__ == "__main__":
    matplotlib.use("Agg")  # files are drawn, no windows
    sys.exit(main())
