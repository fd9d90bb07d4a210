"""Writes primitives.json: what the primitives give, by arithmetic that shares nothing with the crate's.

Only the standard library is used. Convolution and pooling are written out as explicit matrices, one row for each output, so
that gradients are products with their transposes; layouts are (samples, height, width, channels).

    python3 primitives.py
"""

import itertools
import json
import math
import os
import random

random.seed(20)
ARRAYS = {}


def put(name, shape, values):
    assert math.prod(shape) == len(values), name
    ARRAYS[name] = {"shape": list(shape), "values": values}
    return values


def draw(name, shape):
    return put(name, shape, [round(random.uniform(-2, 2), 3) for _ in range(math.prod(shape))])


def flat(index, shape):
    i = 0
    for k, n in zip(index, shape):
        i = i * n + k
    return i


def product(matrix, vector):
    return [sum(w * vector[j] for j, w in row.items()) for row in matrix]


def transposed(matrix, columns):
    result = [{} for _ in range(columns)]
    for i, row in enumerate(matrix):
        for j, w in row.items():
            result[j][i] = result[j].get(i, 0.0) + w
    return result


def windows(size, window, stride, dilation, before, after):
    """For each output position along one axis, its (tap, input) pairs inside the input."""
    extent = (window - 1) * dilation + 1
    result = []
    start = -before
    while start + extent <= size + after:
        result.append([(t, start + t * dilation) for t in range(window) if 0 <= start + t * dilation < size])
        start += stride
    return result


def same(size, window, stride, dilation=1):
    out = -(-size // stride)
    total = max(0, (out - 1) * stride + (window - 1) * dilation + 1 - size)
    return total // 2, total - total // 2


def conv_matrices(x_shape, k_shape, stride, dilation, pads, groups, x, k):
    """The output as a matrix on x, and as a matrix on the kernel."""
    n, height, width, channels = x_shape
    kh, kw, ins, outs = k_shape
    rows = windows(height, kh, stride, dilation, *pads[0])
    columns = windows(width, kw, stride, dilation, *pads[1])
    on_x, on_k = [], []
    for b, row, column, o in itertools.product(range(n), rows, columns, range(outs)):
        of_x, of_k = {}, {}
        group = o // (outs // groups)
        for (th, h), (tw, w), c in itertools.product(row, column, range(ins)):
            i = flat((b, h, w, group * ins + c), x_shape)
            j = flat((th, tw, c, o), k_shape)
            of_x[i], of_k[j] = k[j], x[i]
        on_x.append(of_x)
        on_k.append(of_k)
    return (n, len(rows), len(columns), outs), on_x, on_k


def conv(name, x_shape, k_shape, stride, dilation, pads, groups):
    x, k = draw(name + "/x", x_shape), draw(name + "/kernel", k_shape)
    bias = draw(name + "/bias", k_shape[-1:])
    shape, on_x, on_k = conv_matrices(x_shape, k_shape, stride, dilation, pads, groups, x, k)
    put(name + "/y", shape, [y + bias[i % len(bias)] for i, y in enumerate(product(on_x, x))])
    dy = draw(name + "/dy", shape)
    put(name + "/dx", x_shape, product(transposed(on_x, len(x)), dy))
    put(name + "/dkernel", k_shape, product(transposed(on_k, len(k)), dy))
    put(name + "/dbias", k_shape[-1:], [sum(dy[o :: len(bias)]) for o in range(len(bias))])


def pool(name, x_shape, window, stride):
    x = draw(name + "/x", x_shape)
    n, height, width, channels = x_shape
    rows = windows(height, window, stride, 1, *same(height, window, stride))
    columns = windows(width, window, stride, 1, *same(width, window, stride))
    shape = (n, len(rows), len(columns), channels)
    taps = [
        [flat((b, h, w, c), x_shape) for (_, h), (_, w) in itertools.product(row, column)]
        for b, row, column, c in itertools.product(range(n), rows, columns, range(channels))
    ]
    dy = draw(name + "/dy", shape)
    mean = [{i: 1.0 / len(t) for i in t} for t in taps]
    best = [{max(t, key=lambda i: x[i]): 1.0} for t in taps]
    for kind, matrix in (("average", mean), ("max", best)):
        put(f"{name}/{kind}/y", shape, product(matrix, x))
        put(f"{name}/{kind}/dx", x_shape, product(transposed(matrix, len(x)), dy))


def softmax(name, rows, columns):
    x, t = draw(name + "/x", (rows, columns)), []
    for _ in range(rows):
        raw = [random.random() for _ in range(columns)]
        t += [r / sum(raw) for r in raw]
    put(name + "/targets", (rows, columns), t)
    dy = draw(name + "/dy", (rows, columns))
    y, dx, loss = [], [], []
    for r in range(rows):
        row = range(r * columns, (r + 1) * columns)
        total = math.fsum(math.exp(x[i]) for i in row)
        p = [math.exp(x[i]) / total for i in row]
        y += p
        # The Jacobian diag(p) − p·pᵀ written out.
        for a in range(columns):
            dx.append(math.fsum(dy[r * columns + b] * (p[b] * (a == b) - p[a] * p[b]) for b in range(columns)))
        loss.append(math.fsum(-t[i] * math.log(q) for i, q in zip(row, p)))
    put(name + "/y", (rows, columns), y)
    put(name + "/dx", (rows, columns), dx)
    put(name + "/loss", (rows,), loss)


def matmul(name, m, k, n):
    a, b = draw(name + "/a", (m, k)), draw(name + "/b", (k, n))
    put(name + "/c", (m, n), [math.fsum(a[i * k + p] * b[p * n + j] for p in range(k)) for i in range(m) for j in range(n)])


def activations(name):
    x = [-9.0, -4.2, -2.0, -1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0, 2.0, 4.2, 9.0]
    put(name + "/x", (len(x),), x)
    functions = {
        "relu": lambda v: v if v > 0 else 0.0,
        "relu6": lambda v: min(max(v, 0.0), 6.0),
        "elu": lambda v: v if v > 0 else math.exp(v) - 1.0,
        "selu": lambda v: 1.0507009873554805 * (v if v > 0 else 1.6732632423543772 * (math.exp(v) - 1.0)),
        "sigmoid": lambda v: 0.5 * (1.0 + math.tanh(v / 2)),
        "hard_sigmoid": lambda v: min(max(v / 6 + 0.5, 0.0), 1.0),
        "tanh": lambda v: (math.exp(2 * v) - 1) / (math.exp(2 * v) + 1),
        "softsign": lambda v: v / (1 + abs(v)),
        "softplus": lambda v: math.log(1 + math.exp(v)),
        "silu": lambda v: v / (1 + math.exp(-v)),
        "gelu": lambda v: v * 0.5 * math.erfc(-v / math.sqrt(2)),
        "gelu_tanh": lambda v: 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))),
    }
    for key, function in functions.items():
        put(f"{name}/{key}", (len(x),), [function(v) for v in x])


def optimizers(name):
    """Three steps with Keras's formulas, as documented for its optimizers."""
    w0 = draw(name + "/weight", (5,))
    gradients = [draw(f"{name}/gradient{step}", (5,)) for step in (1, 2, 3)]
    lr, momentum, rho, eps, b1, b2 = 0.125, 0.75, 0.875, 1e-3, 0.75, 0.875
    w, m = list(w0), [0.0] * 5
    for g in gradients:
        m = [momentum * mi - lr * gi for mi, gi in zip(m, g)]
        w = [wi + momentum * mi - lr * gi for wi, mi, gi in zip(w, m, g)]
    put(name + "/sgd_nesterov", (5,), w)
    w, v = list(w0), [0.0] * 5
    for g in gradients:
        v = [rho * vi + (1 - rho) * gi * gi for vi, gi in zip(v, g)]
        w = [wi - lr * gi / math.sqrt(vi + eps) for wi, vi, gi in zip(w, v, g)]
    put(name + "/rmsprop", (5,), w)
    w, m, v = list(w0), [0.0] * 5, [0.0] * 5
    for t, g in enumerate(gradients, 1):
        m = [b1 * mi + (1 - b1) * gi for mi, gi in zip(m, g)]
        v = [b2 * vi + (1 - b2) * gi * gi for vi, gi in zip(v, g)]
        rate = lr * math.sqrt(1 - b2**t) / (1 - b1**t)
        w = [wi - rate * mi / (math.sqrt(vi) + eps) for wi, mi, vi in zip(w, m, v)]
    put(name + "/adam", (5,), w)


conv("conv_plain", (2, 5, 6, 3), (3, 2, 3, 4), 1, 1, [(0, 0), (0, 0)], 1)
conv("conv_same_strided", (1, 7, 6, 2), (3, 3, 2, 3), 2, 1, [same(7, 3, 2), same(6, 3, 2)], 1)
conv("conv_dilated_grouped", (1, 8, 7, 4), (3, 2, 2, 6), 1, 2, [(1, 2), (0, 3)], 2)
conv("conv_depthwise", (2, 4, 5, 3), (2, 3, 1, 6), 1, 1, [(1, 0), (1, 1)], 3)
pool("pool", (2, 5, 6, 2), 3, 2)
softmax("softmax", 3, 5)
matmul("matmul", 3, 4, 5)
activations("activation")
optimizers("update")

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "primitives.json")
with open(path + ".part", "w") as file:
    file.write("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in ARRAYS.items()) + "\n}\n")
os.replace(path + ".part", path)
