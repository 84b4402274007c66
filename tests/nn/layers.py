"""Layers with their settings, each with the shape of an input: what several tests go through."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Layer:
    """How to make one layer, and what to call it on."""

    name: str
    args: tuple = ()
    kwargs: dict = field(default_factory=dict)
    shape: tuple = (2, 3)
    training: bool = True

    def __str__(self):
        settings = [*map(str, self.args), *(f"{k}={v}" for k, v in self.kwargs.items())]
        return f"{self.name}({','.join(settings)}){'' if self.training else '.eval()'}-{'x'.join(map(str, self.shape))}"


SEQUENCES, IMAGES = (2, 4, 9), (2, 4, 7, 6)


def layer(name, *args, shape=(2, 4), training=True, **kwargs):
    return Layer(name, args, kwargs, shape, training)


LAYERS = [
    layer("Identity"),
    layer("Linear", 4, 3),
    layer("Linear", 4, 3, False, shape=(4,)),
    layer("Linear", 4, 3, shape=(2, 5, 4)),
    layer("Flatten", shape=IMAGES),
    layer("Flatten", 0, 2, shape=IMAGES),
    layer("Unflatten", 1, (2, 2)),
    layer("Unflatten", -1, (2, -1), shape=IMAGES),
    # convolution
    layer("Conv1d", 4, 6, 3, shape=SEQUENCES),
    layer("Conv1d", 4, 6, 3, 2, 1, 2, 2, False, shape=SEQUENCES),
    layer("Conv1d", 4, 6, 4, padding="same", shape=SEQUENCES),
    layer("Conv1d", 4, 6, 3, padding=2, padding_mode="circular", shape=SEQUENCES),
    layer("Conv2d", 4, 6, 3, shape=IMAGES),
    layer("Conv2d", 4, 6, 3, shape=IMAGES[1:]),
    layer("Conv2d", 4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2, shape=IMAGES),
    layer("Conv2d", 4, 4, 3, padding=1, groups=4, bias=False, shape=IMAGES),
    layer("Conv2d", 4, 6, 3, padding="valid", shape=IMAGES),
    layer("Conv2d", 4, 6, (4, 3), padding="same", shape=IMAGES),
    layer("Conv2d", 4, 6, (4, 3), padding="same", padding_mode="reflect", shape=IMAGES),
    layer("Conv2d", 4, 6, 3, padding=(2, 1), padding_mode="replicate", shape=IMAGES),
    layer("Conv2d", 4, 6, 3, stride=2, padding=(2, 1), padding_mode="circular", shape=IMAGES),
    layer("Conv2d", 4, 6, 3, padding="valid", padding_mode="reflect", shape=IMAGES),
    layer("ConvTranspose2d", 4, 6, 3, shape=IMAGES),
    layer("ConvTranspose2d", 4, 6, (3, 2), 2, (1, 0), 1, 2, False, shape=IMAGES),
    layer("ConvTranspose2d", 4, 6, 3, stride=3, output_padding=(2, 0), dilation=2, shape=IMAGES),
    # normalisation
    *(layer("BatchNorm1d", 4, training=training) for training in (True, False)),
    *(layer("BatchNorm1d", 4, shape=SEQUENCES, training=training) for training in (True, False)),
    *(layer("BatchNorm2d", 4, shape=IMAGES, training=training) for training in (True, False)),
    *(layer("BatchNorm2d", 4, 1e-3, None, False, shape=IMAGES, training=training) for training in (True, False)),
    *(layer("BatchNorm2d", 4, track_running_stats=False, shape=IMAGES, training=training) for training in (True, False)),
    layer("LayerNorm", 4),
    layer("LayerNorm", (7, 6), 1e-3, shape=IMAGES),
    layer("LayerNorm", [4, 7, 6], elementwise_affine=False, shape=IMAGES),
    layer("LayerNorm", 6, bias=False, shape=IMAGES),
    layer("GroupNorm", 2, 4, shape=IMAGES),
    layer("GroupNorm", 1, 4, affine=False),
    layer("LocalResponseNorm", 3, 0.1, 0.5, 2.0, shape=IMAGES),
    # pooling
    layer("MaxPool1d", 3, shape=SEQUENCES),
    layer("MaxPool1d", 3, 2, 1, 2, ceil_mode=True, shape=SEQUENCES),
    layer("MaxPool2d", 2, shape=IMAGES),
    layer("MaxPool2d", (3, 2), (2, 1), 1, ceil_mode=True, shape=IMAGES),
    layer("AvgPool1d", 2, shape=SEQUENCES),
    layer("AvgPool1d", 3, 2, 1, True, False, shape=SEQUENCES),
    layer("AvgPool2d", 2, shape=IMAGES),
    layer("AvgPool2d", (3, 2), 2, 1, True, False, shape=IMAGES),
    layer("AvgPool2d", 2, divisor_override=3, shape=IMAGES),
    layer("AdaptiveAvgPool1d", 4, shape=SEQUENCES),
    layer("AdaptiveAvgPool1d", 4, shape=SEQUENCES[1:]),
    layer("AdaptiveAvgPool2d", 3, shape=IMAGES),
    layer("AdaptiveAvgPool2d", (1, None), shape=IMAGES),
    layer("AdaptiveMaxPool2d", (2, 3), shape=IMAGES),
    # activations
    *(layer(name) for name in ("ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish", "Hardsigmoid", "Softsign", "Tanh")),
    *(layer(name) for name in ("Sigmoid", "LogSigmoid", "Tanhshrink", "GELU", "LeakyReLU", "ELU", "CELU", "Softplus")),
    *(layer(name) for name in ("Hardtanh", "PReLU", "GLU")),
    layer("LeakyReLU", 0.2),
    layer("PReLU", 4, 0.1, shape=IMAGES),
    layer("ELU", 2.0),
    layer("CELU", 0.5),
    layer("GELU", approximate="tanh"),
    layer("Softplus", 2.0, 1.0),
    layer("Hardtanh", -0.5, 0.25),
    layer("Threshold", 0.1, 5.0),
    layer("GLU", 1, shape=IMAGES),
    layer("Softmax", 1, shape=IMAGES),
    layer("LogSoftmax", -1),
    layer("Softmin", 0),
    # dropout, whose other half is not to be compared
    layer("Dropout", 0.3, training=False),
    layer("Dropout2d", 0.3, training=False, shape=IMAGES),
    layer("Dropout", 0.0),
]
