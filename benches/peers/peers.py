"""PyTorch and ONNX Runtime on the workloads of `striate bench`.

    peers.py PEER WORKLOAD THREADS REPEAT

PEER is torch (contiguous), torch-nhwc (channels_last) or onnxruntime (forward passes only). Prints one JSON line: the median and
the best of REPEAT repetitions after one to warm up, in the unit that `striate bench` uses, and the peak resident size.
"""
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

PEER, WORKLOAD, THREADS, REPEAT = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
NHWC = PEER == "torch-nhwc"


def placed(thing):
    return thing.to(memory_format=torch.channels_last) if NHWC else thing


def images(n, channels, side):
    return placed(torch.rand(n, channels, side, side))


def stack(channels, widths, pooled=True):
    layers = []
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3), nn.ReLU()] + ([nn.MaxPool2d(2)] if pooled else [])
        channels = width
    return layers


def mnist():
    return nn.Sequential(*stack(1, [32, 64]), *stack(64, [64], False), nn.Flatten(), nn.Linear(576, 64), nn.ReLU(),
                         nn.Linear(64, 10))


def cats_dogs():
    return nn.Sequential(*stack(3, [32, 64, 128, 128]), nn.Flatten(), nn.Dropout(0.5), nn.Linear(6272, 512), nn.ReLU(),
                         nn.Linear(512, 1))


def vgg16_base():
    layers, channels = [], 3
    for count, width in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]:
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            nn.init.kaiming_normal_(layers[-2].weight, nonlinearity="relu")
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def head():
    return nn.Sequential(nn.Flatten(), nn.Linear(8192, 256), nn.ReLU(), nn.Linear(256, 1))


def vgg16_top():
    return nn.Sequential(vgg16_base(), nn.Flatten(), nn.Linear(25088, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(),
                         nn.Linear(4096, 1000))


def forward(model, x):
    model.eval()
    if PEER == "onnxruntime":
        import onnxruntime

        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "model.onnx")
            torch.onnx.export(model, (x,), path, dynamo=False, input_names=["x"])
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        array = x.numpy().astype(np.float32)
        return lambda: session.run(None, {"x": array})
    model = placed(model)

    def run():
        with torch.inference_mode():
            model(x)

    return run


def training(model, n, channels, side, classes, rate, steps, loss):
    model = placed(model).train()
    optimizer = torch.optim.RMSprop([p for p in model.parameters() if p.requires_grad], lr=rate, alpha=0.9, eps=1e-7)
    x = images(n * steps, channels, side)
    y = torch.randint(0, 10, (n * steps,)) if classes > 1 else torch.randint(0, 2, (n * steps, 1)).float()

    def run():
        for i in range(0, n * steps, n):
            optimizer.zero_grad()
            loss(model(x[i:i + n]), y[i:i + n]).backward()
            optimizer.step()

    return run


def frozen():
    base, top = placed(vgg16_base().eval().requires_grad_(False)), head()
    optimizer = torch.optim.RMSprop(top.parameters(), lr=2e-5, alpha=0.9, eps=1e-7)
    x, y = images(20, 3, 150), torch.randint(0, 2, (20, 1)).float()

    def run():
        with torch.no_grad():
            features = base(x)
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(top(features), y).backward()
        optimizer.step()

    return run


def finetune(first_trained):
    base = vgg16_base()
    base[:first_trained].requires_grad_(False)
    return training(nn.Sequential(base, head()), 20, 3, 150, 1, 1e-5, 1, F.binary_cross_entropy_with_logits)


def ascent(layers, side, filters):
    net = placed(vgg16_base()[:layers].requires_grad_(False))

    def run():
        for f in filters:
            x = placed(torch.rand(1, 3, side, side) * 20 + 128)
            for _ in range(40):
                x.requires_grad_(True)
                g, = torch.autograd.grad(net(x)[:, f].mean(), x)
                x = x.detach() + g / (g.square().mean().sqrt() + 1e-5)

    return run


def repeated(count, run):
    return lambda: [run() for _ in range(count)]


# Workload: what makes a repetition, units of work in it, and the unit; seconds and milliseconds are a repetition's time per unit.
WORKLOADS = {
    "mnist_train": (lambda: training(mnist(), 64, 1, 28, 10, 1e-3, 100, F.cross_entropy), 6400, "images/s"),
    "mnist_infer_1000": (lambda: repeated(10, forward(mnist(), images(1000, 1, 28))), 10000, "images/s"),
    "mnist_latency_1": (lambda: repeated(1000, forward(mnist(), images(1, 1, 28))), 1000, "ms"),
    "catsdogs_train": (lambda: training(cats_dogs(), 20, 3, 150, 1, 1e-4, 10, F.binary_cross_entropy_with_logits), 200,
                       "images/s"),
    "vgg16_features_150": (lambda: forward(vgg16_base(), images(20, 3, 150)), 20, "images/s"),
    "vgg16_top_224_1": (lambda: forward(vgg16_top(), images(1, 3, 224)), 1, "ms"),
    "vgg16_top_224_16": (lambda: forward(vgg16_top(), images(16, 3, 224)), 16, "images/s"),
    "vgg16_frozen_train": (frozen, 20, "images/s"),
    "vgg16_finetune": (lambda: finetune(24), 20, "images/s"),
    "vgg16_full_train": (lambda: finetune(0), 20, "images/s"),
    "filter_pattern": (lambda: ascent(12, 150, [0]), 1, "s"),
    "filter_grid": (lambda: ascent(2, 64, range(64)), 1, "s"),
}

torch.set_num_threads(THREADS)
torch.manual_seed(0)
make, work, unit = WORKLOADS[WORKLOAD]
run = make()
run()
times = []
for _ in range(REPEAT):
    start = time.perf_counter()
    run()
    times.append(time.perf_counter() - start)
values = sorted({"images/s": work / t, "ms": 1e3 * t / work, "s": t / work}[unit] for t in times)
print(json.dumps({
    "peer": PEER,
    "workload": WORKLOAD,
    "unit": unit,
    "median": statistics.median(values),
    "best": values[-1] if unit == "images/s" else values[0],
    "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
