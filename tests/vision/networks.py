"""What the tests of the networks share: costs counted layer by layer, whether a batch is learnt, and what torch finds."""

import gc
import math

import numpy as np

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


def losses_without_cycles(model, optimizer, x, labels, steps):
    """The losses of some steps on one batch, of which all but the first leave nothing to the cyclic collector."""

    def step():
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    losses = [step()]
    gc.collect()
    gc.disable()
    try:
        losses += [step() for _ in range(steps - 1)]
        assert gc.collect() == 0, "objects that only the cyclic collector could free"
    finally:
        gc.enable()
    return losses


def check_against_torch(torch, model, torch_forward, training):
    """Logits and all gradients for images (5, 2, 8, 8) in float64 against ``torch_forward(torch, state, images, training)``."""
    model = model.double()
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.copy_(minigrad.rand(buffer.shape) + 0.5)
    model.train(training)
    values = {name: torch.from_numpy(value.numpy(force=True).copy()) for name, value in model.state_dict().items()}
    for name, _ in model.named_parameters():
        values[name].requires_grad_()
    x = minigrad.randn(5, 2, 8, 8, dtype=minigrad.float64, requires_grad=True)
    labels = minigrad.tensor([1, 0, 9, 4, 4])
    torch_x = torch.from_numpy(x.numpy(force=True).copy()).requires_grad_()

    output = model(x)
    nn.functional.cross_entropy(output, labels).backward()
    expected = torch_forward(torch, values, torch_x, training)
    torch.nn.functional.cross_entropy(expected, torch.tensor(labels.tolist())).backward()

    np.testing.assert_allclose(output.numpy(force=True), expected.detach().numpy(), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(x.grad.numpy(), torch_x.grad.numpy(), rtol=1e-7, atol=1e-11)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), values[name].grad.numpy(), rtol=1e-7, atol=1e-11, err_msg=name)
