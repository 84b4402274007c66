"""What the tests of the networks share: what a network costs, counted layer by layer, and whether it can learn a batch."""

import math

import minigrad
from minigrad import nn, optim


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def trace(model, x):
    """What comes out of every module of a network in evaluation mode, its shape, and what went into it, in multiply-adds."""
    shapes, operations = {}, {}

    def record(name):
        def hook(module, inputs, output):
            shapes[name] = output.shape
            if isinstance(module, nn.Conv2d | nn.Linear):
                positions = math.prod(output.shape[2:])
                operations[name] = output.shape[0] * positions * module.weight.numel()

        return hook

    handles = [module.register_forward_hook(record(name)) for name, module in model.named_modules()]
    with minigrad.no_grad():
        model.eval()(x)
    for handle in handles:
        handle.remove()

    def inside(name):
        return sum(number for layer, number in operations.items() if name in ("", layer) or layer.startswith(f"{name}."))

    return shapes, {name: inside(name) for name in shapes}


def zeros_of(model, x):
    """For every convolution, by name: whether a Dropout right behind it in training made zeros of what came out of it."""
    last, dropped = [""], {}

    def hook(name):
        def record(module, inputs, output):
            if isinstance(module, nn.Conv2d):
                last[0] = name
                dropped[name] = False
            elif isinstance(module, nn.Dropout):
                dropped[last[0]] |= bool(((output == 0) & (inputs[0] != 0)).any())

        return record

    handles = [module.register_forward_hook(hook(name)) for name, module in model.named_modules()]
    model.train()(x)
    for handle in handles:
        handle.remove()
    return dropped


def patterns(N, C, H, W):
    """Random images of 4×4 patches, each of one colour; noise of single pixels would look alike to a network that averages."""
    height, width = -(-H // 4), -(-W // 4)
    patches = minigrad.randn(N, C, 4, 1, 4, 1).expand(N, C, 4, height, 4, width)
    return patches.reshape(N, C, 4 * height, 4 * width)[:, :, :H, :W]


def overfit(model, x, lr, steps):
    """Train on one batch, every image a class of its own, until the loss is below 0.1; the losses."""
    labels = minigrad.arange(len(x))
    optimizer = optim.Adam(model.parameters(), lr=lr)
    losses = []
    model.train()
    while len(losses) < steps and (not losses or losses[-1] >= 0.1):
        outputs = model(x)
        logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = nn.functional.cross_entropy(logits, labels)
        losses.append(loss.item())
        for head in auxiliary:
            loss = loss + 0.3 * nn.functional.cross_entropy(head, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses
