"""What Keras 3 says of its applications, for crates/zoo.

    python xtask/golden/zoo.py      writes crates/zoo/tests/golden.json

For each network: the layers' names and classes, the parameters with and without the top, and a part of the outputs for weights and an
input that are formulas. Needs keras 3 with TensorFlow and numpy.
"""

import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
from keras import applications as A

TARGET = Path(__file__).resolve().parents[2] / "crates/zoo/tests/golden.json"
NETWORKS = {
    "vgg16": (A.VGG16, 32), "vgg19": (A.VGG19, 32),
    "resnet50": (A.ResNet50, 32), "resnet101": (A.ResNet101, 32), "resnet152": (A.ResNet152, 32),
    "resnet50v2": (A.ResNet50V2, 32), "resnet101v2": (A.ResNet101V2, 32), "resnet152v2": (A.ResNet152V2, 32),
    "inception_v3": (A.InceptionV3, 75), "xception": (A.Xception, 71),
    "mobilenet": (A.MobileNet, 32), "mobilenetv2": (A.MobileNetV2, 32),
}


def fill(shape, seed):
    """As in keras_files.py, in double precision."""
    i = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(seed * 1_000_003)
    bits = (i * np.uint64(2654435761)) % np.uint64(2**32)
    return (bits.astype(np.float64) / 2**32 - 0.5).reshape(shape)


def seed_of(path):
    """FNV-1a of a weight's path, 16 bits of it."""
    value = 2166136261
    for byte in path.encode():
        value = ((value ^ byte) * 16777619) % 2**32
    return value % 2**16


def weight_of(path, shape):
    values = fill(shape, seed_of(path))
    word = path.rsplit("/", 1)[1]
    if word == "gamma":
        values = 1 + 0.2 * values
    elif word == "moving_variance":
        values = 1 + 0.5 * values
    elif len(shape) == 1:
        values = 0.2 * values
    else:
        is_depthwise = len(shape) == 4 and shape[3] == 1
        fan_in = np.prod(shape[:2] if is_depthwise else shape[:-1])
        values = values * np.sqrt(24 / fan_in)
    return values.astype(np.float32)


def parameters(model):
    return int(sum(np.prod(w.shape) for w in model.weights))


def outputs(build, least, **options):
    keras.utils.clear_session()
    shape = (least, least + 13, 3)
    model = build(weights=None, input_shape=shape, **options)
    for weight in model.weights:
        if weight.dtype == "float32":
            weight.assign(weight_of(weight.path, tuple(weight.shape)))
    x = (fill((1,) + shape, 1000) * 2).astype(np.float32)
    y = np.asarray(model(x, training=False)).ravel()
    return {"input": list(shape), "count": len(y), "values": [float(v) for v in y[:: max(1, len(y) // 32)]]}


def main():
    golden = {}
    for name, (build, least) in NETWORKS.items():
        keras.utils.clear_session()
        model = build(weights=None)
        entry = {"parameters": parameters(model), "input": list(model.input_shape[1:])}
        entry["layers"] = sorted(f"{layer.name} {type(layer).__name__}" for layer in model.layers)
        keras.utils.clear_session()
        bare = build(weights=None, include_top=False, input_shape=(least, least + 13, 3))
        entry["parameters_without_top"] = parameters(bare)
        entry["output_without_top"] = list(bare.output_shape[1:])
        keras.utils.clear_session()
        entry["last_with_max"] = build(weights=None, include_top=False, input_shape=(least, least, 3), pooling="max").layers[-1].name
        entry["features"] = outputs(build, least, include_top=False, pooling="avg")
        if name in ("mobilenet", "mobilenetv2", "vgg16", "inception_v3"):
            entry["top"] = outputs(build, least, include_top=True, classes=7)
        golden[name] = entry
        print(name, entry["parameters"], entry["parameters_without_top"])
    TARGET.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
