"""Optimizer steps: the update rules, on lists of arrays, written into the parameters and the state in place.

The rules work element by element, so a list may as well hold parts of a parameter. One scratch array per entry is all the
memory they take, and a second one where the gradient must first be joined with weight decay or negated.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

Arrays = Sequence[Any]


class OptimizerKernels:
    """The methods change the parameters and the state; arrays that belong together have one shape and dtype.

    An empty list stands for a state that the chosen variant does not have.
    """

    xp: Any

    def sgd_step(
        self,
        params: Arrays,
        grads: Arrays,
        momentum_buffers: Arrays,
        *,
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
        maximize: bool,
    ) -> None:
        """Stochastic gradient descent, with momentum if there are ``momentum_buffers``."""
        xp = self.xp
        for i, (param, grad) in enumerate(zip(params, grads)):
            scratch = xp.empty_like(param)
            grad = self.descent(param, grad, weight_decay, maximize)
            if momentum_buffers:
                buffer = momentum_buffers[i]
                buffer *= momentum
                if dampening:
                    xp.multiply(grad, 1 - dampening, out=scratch)
                    buffer += scratch
                else:
                    buffer += grad
                if nesterov:
                    xp.multiply(buffer, momentum, out=scratch)
                    scratch += grad
                    scratch *= lr
                else:
                    xp.multiply(buffer, lr, out=scratch)
            else:
                xp.multiply(grad, lr, out=scratch)
            param -= scratch

    def adam_step(
        self,
        params: Arrays,
        grads: Arrays,
        exp_avgs: Arrays,
        exp_avg_sqs: Arrays,
        max_exp_avg_sqs: Arrays,
        steps: Sequence[float],
        *,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        decoupled: bool,
        maximize: bool,
    ) -> None:
        """Adam, or AdamW if the decay is decoupled; AMSGrad if there are ``max_exp_avg_sqs``."""
        xp = self.xp
        for i, (param, grad, exp_avg, exp_avg_sq, step) in enumerate(zip(params, grads, exp_avgs, exp_avg_sqs, steps)):
            scratch = xp.empty_like(param)
            if decoupled and weight_decay:
                param *= 1 - lr * weight_decay
            grad = self.descent(param, grad, 0 if decoupled else weight_decay, maximize)
            xp.subtract(grad, exp_avg, out=scratch)
            scratch *= 1 - beta1
            exp_avg += scratch
            xp.multiply(grad, 1 - beta2, out=scratch)  # before the square, which may overflow
            scratch *= grad
            exp_avg_sq *= beta2
            exp_avg_sq += scratch
            if max_exp_avg_sqs:
                exp_avg_sq = xp.maximum(max_exp_avg_sqs[i], exp_avg_sq, out=max_exp_avg_sqs[i])
            # lr · (exp_avg / (1 - beta1^t)) / (sqrt(exp_avg_sq / (1 - beta2^t)) + eps), numbers drawn together
            correction = sqrt(1 - beta2**step)
            xp.sqrt(exp_avg_sq, out=scratch)
            scratch += eps * correction
            xp.divide(exp_avg, scratch, out=scratch)
            scratch *= lr * correction / (1 - beta1**step)
            param -= scratch

    def lion_step(
        self,
        params: Arrays,
        grads: Arrays,
        exp_avgs: Arrays,
        *,
        lr: float,
        beta1: float,
        beta2: float,
        weight_decay: float,
        maximize: bool,
    ) -> None:
        """Lion: a step of length ``lr`` in the direction of the sign of an average."""
        xp = self.xp
        for param, grad, exp_avg in zip(params, grads, exp_avgs):
            scratch = xp.empty_like(param)
            grad = self.descent(param, grad, 0, maximize)
            if weight_decay:
                param *= 1 - lr * weight_decay
            xp.subtract(grad, exp_avg, out=scratch)
            scratch *= 1 - beta1
            scratch += exp_avg
            xp.sign(scratch, out=scratch)
            scratch *= lr
            param -= scratch
            xp.subtract(grad, exp_avg, out=scratch)
            scratch *= 1 - beta2
            exp_avg += scratch

    def rmsprop_step(
        self,
        params: Arrays,
        grads: Arrays,
        square_avgs: Arrays,
        grad_avgs: Arrays,
        momentum_buffers: Arrays,
        *,
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        maximize: bool,
    ) -> None:
        """RMSprop; centered if there are ``grad_avgs``, with momentum if there are ``momentum_buffers``."""
        xp = self.xp
        for i, (param, grad, square_avg) in enumerate(zip(params, grads, square_avgs)):
            scratch = xp.empty_like(param)
            grad = self.descent(param, grad, weight_decay, maximize)
            xp.multiply(grad, 1 - alpha, out=scratch)  # before the square, which may overflow
            scratch *= grad
            square_avg *= alpha
            square_avg += scratch
            if grad_avgs:
                grad_avg = grad_avgs[i]
                xp.subtract(grad, grad_avg, out=scratch)
                scratch *= 1 - alpha
                grad_avg += scratch
                xp.multiply(grad_avg, grad_avg, out=scratch)
                xp.subtract(square_avg, scratch, out=scratch)
                xp.sqrt(scratch, out=scratch)
            else:
                xp.sqrt(square_avg, out=scratch)
            scratch += eps
            xp.divide(grad, scratch, out=scratch)
            if momentum_buffers:
                buffer = momentum_buffers[i]
                buffer *= momentum
                buffer += scratch
                xp.multiply(buffer, lr, out=scratch)
            else:
                scratch *= lr
            param -= scratch

    def adagrad_step(
        self,
        params: Arrays,
        grads: Arrays,
        sums: Arrays,
        steps: Sequence[float],
        *,
        lr: float,
        lr_decay: float,
        eps: float,
        weight_decay: float,
        maximize: bool,
    ) -> None:
        """Adagrad."""
        xp = self.xp
        for param, grad, total, step in zip(params, grads, sums, steps):
            scratch = xp.empty_like(param)
            grad = self.descent(param, grad, weight_decay, maximize)
            xp.multiply(grad, grad, out=scratch)
            total += scratch
            xp.sqrt(total, out=scratch)
            scratch += eps
            xp.divide(grad, scratch, out=scratch)
            scratch *= lr / (1 + (step - 1) * lr_decay)
            param -= scratch

    def unscale(self, grads: Arrays, scale: Any) -> Any:
        """Divide gradients by ``scale``, in place; both this and the result are 0-d float32 arrays.

        Returns:
            1 if a gradient was inf or nan, else 0.
        """
        xp = self.xp
        inverse = 1 / scale.astype("float64")
        found = xp.zeros((), dtype="float32")
        for grad in grads:
            found = xp.maximum(found, xp.logical_not(xp.all(xp.isfinite(grad))))
            grad *= inverse.astype(grad.dtype)
        return xp.asarray(found, dtype="float32")

    def descent(self, param: Any, grad: Any, weight_decay: float, maximize: bool) -> Any:
        """What to go along: the gradient, negated to maximize, plus the weight decay's; itself if it is nothing else."""
        if weight_decay:
            decay = param * weight_decay
            return decay - grad if maximize else decay + grad
        return self.xp.negative(grad) if maximize else grad
