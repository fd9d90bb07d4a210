"""Expected predictions of model files that Kerases from 1.1 to 3.5 wrote.

    python xtask/golden/keras_old_files.py DATA     reads DATA/keras/*, writes crates/formats/tests/golden/keras_old_files.json

Today's Keras refuses several of these files, so the predictions are computed here with plain NumPy in double precision, from the file's
config and weights; where Keras does load a file, it has to agree. The files themselves are not part of the project.
"""

import io
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import h5py
import numpy as np

TARGET = Path(__file__).resolve().parents[2] / "crates/formats/tests/golden/keras_old_files.json"
BATCH = 2


def fill(shape, seed):
    """As in keras_files.py."""
    i = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(seed * 1_000_003)
    bits = (i * np.uint64(2654435761)) % np.uint64(2**32)
    return (bits.astype(np.float64) / 2**32 - 0.5).astype(np.float32).reshape(shape)


def per_axis(value, axes, default=1):
    value = default if value is None else value
    return [int(value)] * axes if np.isscalar(value) else [int(v) for v in value]


def border(size, kernel, stride, dilation, padding):
    """Elements before and after an axis."""
    span = (kernel - 1) * dilation + 1
    if padding == "same":
        total = max((-(-size // stride) - 1) * stride + span - size, 0)
        return total // 2, total - total // 2
    return (span - 1, 0) if padding == "causal" else (0, 0)


def windows(x, kernel, strides, dilations, padding, filling):
    """For each tap of the kernel what it sees: pairs of the tap and an array (n, spatial…, channels)."""
    axes = len(kernel)
    pads = [border(x.shape[1 + a], kernel[a], strides[a], dilations[a], padding) for a in range(axes)]
    padded = np.pad(x, [(0, 0)] + pads + [(0, 0)], constant_values=filling)
    counts = [(padded.shape[1 + a] - (kernel[a] - 1) * dilations[a] - 1) // strides[a] + 1 for a in range(axes)]
    for tap in np.ndindex(*kernel):
        cut = [slice(None)]
        for a in range(axes):
            start = tap[a] * dilations[a]
            cut.append(slice(start, start + (counts[a] - 1) * strides[a] + 1, strides[a]))
        yield tap, padded[tuple(cut)]


def conv(x, kernel, strides, dilations, padding):
    return sum(seen @ kernel[tap] for tap, seen in windows(x, kernel.shape[:-2], strides, dilations, padding, 0.0))


def depthwise(x, kernel, strides, dilations, padding):
    total = sum(seen[..., None] * kernel[tap] for tap, seen in windows(x, kernel.shape[:-2], strides, dilations, padding, 0.0))
    return total.reshape(total.shape[:-2] + (-1,))


def conv_transpose_valid(x, kernel, strides):
    axes = kernel.ndim - 2
    sizes = [(x.shape[1 + a] - 1) * strides[a] + kernel.shape[a] for a in range(axes)]
    y = np.zeros([x.shape[0]] + sizes + [kernel.shape[-2]])
    for tap in np.ndindex(*kernel.shape[:axes]):
        cut = [slice(None)]
        cut += [slice(tap[a], tap[a] + (x.shape[1 + a] - 1) * strides[a] + 1, strides[a]) for a in range(axes)]
        y[tuple(cut)] += x @ kernel[tap].T
    return y


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "softmax": softmax,
}


def layer(class_name, c, weights, x):
    """One layer's prediction, channels last."""
    axes = next((n for n in (1, 2, 3) if f"{n}D" in class_name), 0)
    first = c.get("data_format") == "channels_first"
    if first:
        x = np.moveaxis(x, 1, -1)
    strides = per_axis(c.get("strides", c.get("subsample")), axes) if axes else []
    dilations = per_axis(c.get("dilation_rate"), axes) if axes else []
    padding = c.get("padding", c.get("border_mode", "valid"))
    activation = ACTIVATIONS[c.get("activation") or "linear"]
    if class_name in ("Conv1D", "Conv2D", "Conv3D", "Convolution2D"):
        x = activation(conv(x, weights[0], strides, dilations, padding) + weights[1])
    elif class_name == "Conv2DTranspose":
        assert padding == "valid"
        x = activation(conv_transpose_valid(x, weights[0], strides) + weights[1])
    elif class_name == "DepthwiseConv2D":
        x = activation(depthwise(x, weights[0], strides, dilations, padding) + weights[1])
    elif class_name == "SeparableConv2D":
        x = depthwise(x, weights[0], strides, dilations, padding)
        x = activation(x @ weights[1][0, 0] + weights[2])
    elif class_name == "Dense":
        x = activation(x @ weights[0] + weights[1])
    elif class_name == "Activation":
        x = activation(x)
    elif class_name == "LeakyReLU":
        x = np.where(x > 0, x, c["alpha"] * x)
    elif class_name == "BatchNormalization":
        gamma, beta, mean, variance = weights
        x = gamma * (x - mean) / np.sqrt(variance + c["epsilon"]) + beta
    elif class_name.startswith("MaxPooling"):
        size = per_axis(c["pool_size"], axes)
        steps = per_axis(c["strides"], axes)
        x = np.max([seen for _, seen in windows(x, size, steps, [1] * axes, padding, -np.inf)], axis=0)
    elif class_name.startswith("AveragePooling"):
        assert padding == "valid"
        size = per_axis(c["pool_size"], axes)
        steps = per_axis(c["strides"], axes)
        x = np.mean([seen for _, seen in windows(x, size, steps, [1] * axes, padding, 0.0)], axis=0)
    elif class_name.startswith("GlobalAveragePooling"):
        return x.mean(tuple(range(1, axes + 1)))
    elif class_name == "ZeroPadding2D":
        x = np.pad(x, [(0, 0)] + [tuple(p) for p in c["padding"]] + [(0, 0)])
    elif class_name == "Cropping2D":
        (top, bottom), (left, right) = c["cropping"]
        x = x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]
    elif class_name == "UpSampling2D":
        assert c.get("interpolation", "nearest") == "nearest"
        x = x.repeat(c["size"][0], 1).repeat(c["size"][1], 2)
    elif class_name == "Flatten":
        return x.reshape(x.shape[0], -1)
    elif class_name == "Reshape":
        return x.reshape([x.shape[0]] + c["target_shape"])
    elif "Dropout" not in class_name and class_name != "InputLayer":
        raise NotImplementedError(class_name)
    return np.moveaxis(x, -1, 1) if first else x


def predict(path):
    """Input shape, and what a chain of layers makes of `fill`."""
    raw = path.read_bytes()
    if raw[:2] == b"PK":
        archive = zipfile.ZipFile(io.BytesIO(raw))
        config = json.loads(archive.read("config.json"))
        groups = h5py.File(io.BytesIO(archive.read("model.weights.h5")))["layers"]

        def read(name):
            vars_ = groups[name]["vars"] if name in groups else []
            return [np.float64(vars_[str(i)]) for i in range(len(vars_))]
    else:
        file = h5py.File(io.BytesIO(raw))
        config = json.loads(file.attrs["model_config"])
        groups = file["model_weights"]

        def read(name):
            names = groups[name].attrs["weight_names"] if name in groups else []
            return [np.float64(groups[name][n]) for n in names]

    layers = config["config"] if isinstance(config["config"], list) else config["config"]["layers"]
    first = layers[0]["config"]
    shape = [BATCH] + (first.get("batch_input_shape") or first.get("batch_shape"))[1:]
    x = np.float64(fill(shape, 1000))
    previous = None
    for entry in layers:
        nodes = entry.get("inbound_nodes")
        assert not nodes or nodes[0][0][0] == previous, "only chains are computed here"
        previous = entry["config"]["name"]
        x = layer(entry["class_name"], entry["config"], read(previous), x)
    return shape, x


def main(data):
    import keras

    expected = {}
    for path in sorted((data / "keras").iterdir()):
        if "inputs_and_outputs" in path.name:
            continue
        shape, y = predict(path)
        agreement = "not loaded by keras " + keras.__version__
        try:
            model = load(keras, path)
            difference = float(np.abs(np.asarray(model(fill(shape, 1000), training=False)) - y).max())
            assert difference < 1e-5, (path, difference)
            agreement = f"keras {keras.__version__} agrees"
        except AssertionError:
            raise
        except Exception as error:
            agreement += f" ({type(error).__name__})"
        values = y.ravel()
        # Of a large output a part, spread over all of it, is enough.
        step = max(1, len(values) // 64)
        expected[path.name] = {
            "input": shape,
            "output": list(y.shape),
            "step": step,
            "values": [float(v) for v in values[::step]],
            "checked": agreement,
        }
        print(f"{path.name:48} {agreement}")
    TARGET.write_text(json.dumps(expected, indent=1) + "\n")


def load(keras, path):
    """Keras goes by the ending: an HDF5 file gets one that it knows."""
    content = path.read_bytes()
    ending = ".h5" if content.startswith(b"\x89HDF") else path.suffix
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / ("model" + ending)
        copy.write_bytes(content)
        return keras.models.load_model(copy, compile=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
