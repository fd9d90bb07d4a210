"""Single convolutions in PyTorch: forward, gradient of the input, gradient of the kernel and the bias.

    convolutions.py THREADS REPEAT

Reads the `geometry` that `striate bench conv_micro --json` writes, one a line, and answers each with a line: the best rate of REPEAT
repetitions in GFLOP/s of every pass after calls of 0.1 s, `torch` (contiguous) and `torch-nhwc` (channels_last). A repetition is as many calls as take 10 ms.
The forward pass has its bias but, unlike ours, no ReLU after it.
"""
import json
import sys
import time

import torch

THREADS, REPEAT = int(sys.argv[1]), int(sys.argv[2])
REPETITION_S = 0.01
WARM_UP_S = 0.1
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def best_rate(gflop, call):
    warm_up = time.perf_counter()
    while True:
        start = time.perf_counter()
        call()
        end = time.perf_counter()
        if end - warm_up >= WARM_UP_S:
            break
    calls = max(1, min(1000, int(REPETITION_S / (end - start))))
    times = []
    for _ in range(REPEAT):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - start) / calls)
    return gflop / min(times)


def measure(geometry, nhwc):
    x, kernel, groups = geometry["x"], geometry["kernel"], geometry["groups"]
    n, sides, channels = x[0], x[1:-1], x[-1]
    window, filters = kernel[:-2], kernel[-1]
    stride, dilation = [geometry["stride"]] * len(sides), [geometry["dilation"]] * len(sides)
    extents = [(k - 1) * d + 1 for k, d in zip(window, dilation)]
    padding = [0] * len(sides)
    if geometry["same"]:
        padding = [(max(0, (-(-i // s) - 1) * s + e - i) + 1) // 2 for i, s, e in zip(sides, stride, extents)]
    if len(sides) == 1 and nhwc:
        # One axis has no channels-last layout: a map of one row has.
        sides, window, stride, dilation, padding = [1, *sides], [1, *window], [1, *stride], [1, *dilation], [0, *padding]

    def placed(*shape):
        tensor = torch.rand(shape) * 2 - 1
        return tensor.to(memory_format=CHANNELS_LAST[tensor.dim()]) if nhwc else tensor

    x, w, b = placed(n, channels, *sides), placed(filters, channels // groups, *window), torch.rand(filters)
    zeros = [0] * len(sides)

    def forward():
        return torch.ops.aten.convolution(x, w, b, stride, padding, dilation, False, zeros, groups)

    def backward(*wanted):
        return torch.ops.aten.convolution_backward(dy, x, w, [filters], stride, padding, dilation, False, zeros, groups, wanted)

    with torch.inference_mode():
        y = forward()
        dy = placed(*y.shape)
        gflop = 2e-9 * y.numel() * w[0].numel()
        return {
            "forward": best_rate(gflop, forward),
            "input": best_rate(gflop, lambda: backward(True, False, False)),
            "kernel": best_rate(gflop, lambda: backward(False, True, True)),
        }


torch.set_num_threads(THREADS)
torch.manual_seed(0)
for line in sys.stdin:
    geometry = json.loads(line)
    print(json.dumps({"torch": measure(geometry, False), "torch-nhwc": measure(geometry, True)}), flush=True)
