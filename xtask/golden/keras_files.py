"""Golden files of crates/formats, made and judged by real Keras 3.

    python xtask/golden/keras_files.py make              writes crates/formats/tests/golden/keras/*
    python xtask/golden/keras_files.py verify STRIATE    has the program STRIATE convert them, loads the results with Keras, compares the
                                                         predictions, and writes written.json with the SHA-256 of what was verified

Needs keras 3 with TensorFlow, numpy and h5py. The files are networks of a few hundred weights, gzipped; weights and inputs are a formula
(`fill`), so that inputs need not be kept.
"""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import h5py
import keras
import numpy as np
from keras import layers as L

FOLDER = Path(__file__).resolve().parents[2] / "crates/formats/tests/golden/keras"
TOLERANCE = 1e-5


def fill(shape, seed):
    """Numbers in [-0.5, 0.5) that any language makes alike: a multiplicative hash of the element's number."""
    n = int(np.prod(shape))
    i = np.arange(n, dtype=np.uint64) + np.uint64(seed * 1_000_003)
    bits = (i * np.uint64(2654435761)) % np.uint64(2**32)
    return (bits.astype(np.float64) / 2**32 - 0.5).astype(np.float32).reshape(shape)


def stack():
    return keras.Sequential(
        [
            keras.Input((10, 10, 2)),
            L.Conv2D(4, 3, activation="relu", kernel_regularizer="l2"),
            L.BatchNormalization(),
            L.LeakyReLU(negative_slope=0.1),
            L.MaxPooling2D(2),
            L.Dropout(0.25),
            L.DepthwiseConv2D(2, depth_multiplier=2, padding="same"),
            L.Flatten(),
            L.Dense(5, activation="gelu", name="hidden"),
            L.Dense(3, activation="softmax"),
        ],
        name="stack",
    )


def branches():
    image = keras.Input((8, 8, 3), name="image")
    side = keras.Input((4,), name="side")
    x = L.Rescaling(2.0, offset=-0.5)(image)
    x = L.ZeroPadding2D(((1, 0), (0, 1)))(x)
    a = L.SeparableConv2D(4, 3, strides=2, activation="silu")(x)
    b = L.Conv2D(4, 3, strides=2, dilation_rate=1, use_bias=False)(x)
    b = L.PReLU(shared_axes=[1, 2])(b)
    joined = [L.Add()([a, b]), L.Multiply()([a, b]), L.Average()([a, b]), L.Maximum()([a, b]), L.Minimum()([a, b])]
    joined.append(L.Subtract()([a, b]))
    x = L.Concatenate()(joined)
    x = L.ReLU(max_value=0.8, negative_slope=0.1, threshold=0.05)(x)
    x = L.UpSampling2D(2, interpolation="bilinear")(x)
    x = L.Cropping2D(((1, 0), (0, 1)))(x)
    x = L.LayerNormalization()(x)
    x = L.Conv2DTranspose(3, 3, strides=2, padding="same", activation="tanh")(x)
    pooled = L.GlobalAveragePooling2D(keepdims=True)(x)
    pooled = L.Reshape((3,))(pooled)
    highest = L.GlobalMaxPooling2D()(x)
    x = L.Concatenate()([pooled, highest, L.ELU(alpha=0.7)(side)])
    first = L.Dense(3, activation="sigmoid", name="first")(x)
    second = L.Softmax(name="second")(L.Dense(2)(x))
    return keras.Model([image, side], [first, second], name="branches")


def nested():
    base = keras.Sequential(
        [keras.Input((9, 9, 2)), L.Conv2D(3, 3, activation="relu"), L.BatchNormalization(), L.AveragePooling2D(2)],
        name="base",
    )
    base.layers[0].trainable = False
    middle_input = keras.Input((9, 9, 2))
    y = base(middle_input)
    shared = L.Conv2D(3, 1, name="shared", activation="softplus")
    y = L.Add()([shared(y), shared(shared(y))])
    middle = keras.Model(middle_input, y, name="middle")
    image = keras.Input((9, 9, 2), name="image")
    x = middle(image)
    x = L.Permute((3, 1, 2))(x)
    x = L.Flatten()(x)
    head = keras.Sequential([keras.Input((27,)), L.Dense(4, activation="relu"), L.Dense(2)], name="head")
    return keras.Model(image, head(x), name="nested")


def series():
    return keras.Sequential(
        [
            keras.Input((12, 3)),
            L.Normalization(mean=[0.1, 0.0, -0.1], variance=[0.5, 1.0, 2.0]),
            L.ZeroPadding1D(1),
            L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="elu"),
            L.SeparableConv1D(4, 3, padding="same", activation="softsign"),
            L.UpSampling1D(2),
            L.Cropping1D((1, 2)),
            L.Conv1DTranspose(2, 3, strides=2, activation="selu"),
            L.MaxPooling1D(3, strides=2, padding="same"),
            L.AveragePooling1D(2),
            L.Conv1D(4, 2, groups=2, activation="hard_sigmoid"),
            L.GlobalMaxPooling1D(),
            L.Dense(2, activation="exponential"),
        ],
        name="series",
    )


def volume():
    return keras.Sequential(
        [
            keras.Input((6, 6, 6, 1)),
            L.Conv3D(2, 3, activation="leaky_relu", padding="same"),
            L.MaxPooling3D(2),
            L.Conv3DTranspose(2, 2, strides=2, activation="relu6"),
            L.AveragePooling3D(3),
            L.GlobalAveragePooling3D(),
        ],
        name="volume",
    )


def adapted():
    image = keras.Input((4, 4, 3))
    normal = L.Normalization()
    normal.adapt(fill((10, 4, 4, 3), 77))
    return keras.Model(image, L.GlobalAveragePooling2D()(normal(image)), name="adapted")


def steps():
    return keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            L.RandomFlip("horizontal"),
            L.RandomContrast(0.2),
            L.CenterCrop(6, 6),
            L.Reshape((3, 4, 4, 3)),
            L.TimeDistributed(L.Conv2D(4, 3, activation="relu", kernel_regularizer="l2")),
            L.GroupNormalization(2),
            L.TimeDistributed(L.BatchNormalization()),
            L.TimeDistributed(L.Flatten()),
            L.UnitNormalization(),
            L.AlphaDropout(0.2),
            L.ActivityRegularization(l2=0.1),
            L.Identity(),
            L.TimeDistributed(L.Dense(3), name="each"),
            L.Flatten(),
            L.Dense(2),
        ],
        name="steps",
    )


MODELS = {"stack": stack, "branches": branches, "nested": nested, "series": series, "volume": volume, "adapted": adapted, "steps": steps}
BATCH = 2


def give_weights(model):
    """Every weight from the formula; variances must be positive."""
    if model.name == "adapted":
        return  # its statistics are those of its data
    for seed, weight in enumerate(model.weights):
        if weight.dtype != "float32":
            continue
        values = fill(tuple(weight.shape), seed)
        if "variance" in weight.path or "gamma" in weight.path:
            values = np.abs(values) + np.float32(0.5)
        weight.assign(values)


def answers(model):
    inputs = [fill((BATCH,) + tuple(x.shape[1:]), 1000 + i) for i, x in enumerate(model.inputs)]
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    return inputs, [np.asarray(y) for y in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def keras_1_theano(source, target):
    """What Keras 1 on Theano would have written of a stack: its words, its order of axes, its turned kernels."""
    conv, dense = source.get_layer("conv"), source.get_layer("dense")
    config = [
        {"class_name": "Convolution2D", "config": {
            "name": "convolution2d_1", "nb_filter": 3, "nb_row": 3, "nb_col": 2, "subsample": [1, 1], "border_mode": "valid",
            "dim_ordering": "th", "bias": True, "init": "glorot_uniform", "activation": "relu", "trainable": True,
            "W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.1}, "b_regularizer": None,
            "activity_regularizer": None, "W_constraint": None, "b_constraint": None,
            "batch_input_shape": [None, 2, 7, 7], "input_dtype": "float32"}},
        {"class_name": "MaxPooling2D", "config": {
            "name": "maxpooling2d_1", "pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid", "dim_ordering": "th"}},
        {"class_name": "Dropout", "config": {"name": "dropout_1", "p": 0.5}},
        {"class_name": "Flatten", "config": {"name": "flatten_1"}},
        {"class_name": "Dense", "config": {
            "name": "dense_1", "output_dim": 2, "init": "uniform", "activation": "softmax", "bias": True, "input_dim": None}},
    ]
    kernel = conv.get_weights()[0][::-1, ::-1].transpose(3, 2, 0, 1)
    # Theano flattens (channels, rows, columns); the source flattens (rows, columns, channels).
    rows = dense.get_weights()[0].reshape(2, 3, 3, 2).transpose(2, 0, 1, 3).reshape(18, 2)
    with h5py.File(target, "w") as file:
        file.attrs["keras_version"] = np.bytes_("1.2.2")
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config}).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [layer["config"]["name"].encode() for layer in config]
        weights = {"convolution2d_1": [kernel, conv.get_weights()[1]], "dense_1": [rows, dense.get_weights()[1]]}
        for layer in config:
            name = layer["config"]["name"]
            inner = group.create_group(name)
            names = [f"{name}_W".encode(), f"{name}_b".encode()] if name in weights else []
            inner.attrs["weight_names"] = names
            for key, value in zip(names, weights.get(name, [])):
                inner.create_dataset(key, data=value)


def theano_source():
    return keras.Sequential(
        [keras.Input((7, 7, 2)), L.Conv2D(3, (3, 2), activation="relu", name="conv"), L.MaxPooling2D(2), L.Flatten(),
         L.Dense(2, activation="softmax", name="dense")],
        name="theano",
    )


def keras_2_13(source, target):
    """The layout of Keras 2.13 and 2.14: another word for `layers`."""
    with zipfile.ZipFile(source) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "a.h5", Path(folder) / "b.h5"
        before.write_bytes(parts["model.weights.h5"])
        with h5py.File(before) as old_file, h5py.File(after, "w") as new_file:
            old_file.copy("layers", new_file, name="_layer_checkpoint_dependencies")
        parts["model.weights.h5"] = after.read_bytes()
    parts["metadata.json"] = json.dumps({"keras_version": "2.13.1", "date_saved": "2023-07-01@00:00:00"}).encode()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content)


def make():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    expected = {}
    for name, build in MODELS.items():
        keras.utils.clear_session()
        model = build()
        give_weights(model)
        inputs, outputs = answers(model)
        endings = [".keras", ".h5", ".weights.h5"] if name in ("branches", "nested", "steps") else [".keras"]
        for ending in endings:
            (model.save_weights if ending == ".weights.h5" else model.save)(FOLDER / (name + ending))
        expected[name] = note(model, inputs, outputs, [name + ending for ending in endings])
    # One that was trained, for its optimizer's state.
    keras.utils.clear_session()
    model = keras.Sequential([keras.Input((3,)), L.Dense(2, name="only")], name="trained")
    give_weights(model)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(fill((8, 3), 5), fill((8, 2), 6), epochs=1, batch_size=4, shuffle=False, verbose=0)
    for ending in (".keras", ".h5"):
        model.save(FOLDER / ("trained" + ending))
    inputs, outputs = answers(model)
    expected["trained"] = note(model, inputs, outputs, ["trained.keras", "trained.h5"])
    expected["trained"]["optimizer"] = [np.asarray(v).ravel().tolist() for v in model.optimizer.variables]
    keras.utils.clear_session()
    source = theano_source()
    give_weights(source)
    inputs, outputs = answers(source)
    keras_1_theano(source, FOLDER / "keras1_theano.h5")
    expected["keras1_theano"] = note(source, inputs, outputs, ["keras1_theano.h5"])
    keras_2_13(FOLDER / "stack.keras", FOLDER / "stack_2_13.keras")
    expected["stack"]["files"].append("stack_2_13.keras")
    reloaded = answers(keras.models.load_model(FOLDER / "stack_2_13.keras", compile=False))[1]
    assert np.abs(reloaded[0] - np.float32(expected["stack"]["outputs"][0]["values"]).reshape(reloaded[0].shape)).max() < TOLERANCE
    (FOLDER / "expected.json").write_text(json.dumps(expected) + "\n")
    for entry in expected.values():
        for name in entry["files"]:
            (FOLDER / (name + ".gz")).write_bytes(gzip.compress((FOLDER / name).read_bytes(), 9, mtime=0))
            (FOLDER / name).unlink()


def note(model, inputs, outputs, files):
    return {
        "files": files,
        "parameters": int(sum(np.prod(w.shape) for w in model.weights if w.dtype == "float32")),
        "inputs": [list(x.shape) for x in inputs],
        "outputs": [{"shape": list(y.shape), "values": [float(v) for v in y.ravel()]} for y in outputs],
    }


def verify(program):
    expected = json.loads((FOLDER / "expected.json").read_text())
    written, worst = {}, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, entry in expected.items():
            source = Path(folder) / ("source_" + entry["files"][0])
            source.write_bytes(gzip.decompress((FOLDER / (entry["files"][0] + ".gz")).read_bytes()))
            for ending in (".keras", ".h5", ".weights.h5"):
                target = Path(folder) / (name + ending)
                options = ["--theano"] if name == "keras1_theano" else []
                subprocess.run([program, "convert", str(source), str(target)] + options, check=True, capture_output=True)
                keras.utils.clear_session()
                if ending == ".weights.h5":
                    if name == "keras1_theano":
                        continue
                    model = keras.models.load_model(source, compile=False)
                    for weight in model.weights:
                        weight.assign(np.zeros(weight.shape, weight.dtype))
                    model.load_weights(target)
                else:
                    model = keras.models.load_model(target, compile=False)
                if name == "keras1_theano":
                    x = np.ascontiguousarray(fill(entry["inputs"][0], 1000).transpose(0, 3, 1, 2))
                    outputs = [np.asarray(model(x, training=False))]
                else:
                    outputs = answers(model)[1]
                for got, want in zip(outputs, entry["outputs"], strict=True):
                    difference = float(np.abs(got.ravel() - np.float32(want["values"])).max())
                    worst = max(worst, difference)
                    assert difference < TOLERANCE, f"{target.name}: {difference}"
                written[target.name] = hashlib.sha256(target.read_bytes()).hexdigest()
                print(f"{target.name:24} loads in keras {keras.__version__}, predictions within {TOLERANCE}")
    (FOLDER / "written.json").write_text(json.dumps({"keras": keras.__version__, "sha256": written}, indent=1) + "\n")
    print(f"largest difference {worst:.2e}")


if __name__ == "__main__":
    if sys.argv[1:] == ["make"]:
        make()
    elif len(sys.argv) == 3 and sys.argv[1] == "verify":
        verify(sys.argv[2])
    else:
        sys.exit(__doc__)
