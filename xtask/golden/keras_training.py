"""A training that goes over from Keras to striate and back.

    python xtask/golden/keras_training.py make             writes crates/train/tests/golden/keras_*: networks that Keras trained for 2 steps, saved
                                                           with their optimizer, and the weights after 3 steps more
    python xtask/golden/keras_training.py verify PROGRAM   has PROGRAM (the example continue_keras) go on for 3 steps, loads what it wrote, lets Keras go
                                                           on for 3 more, and writes the files and the weights that Keras came to

Data are a formula (`fill`), four samples a step, so that both programs see the same.
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
from keras import layers as L

FOLDER = Path(__file__).resolve().parents[2] / "crates/train/tests/golden"
TOLERANCE = 1e-5


def fill(shape, seed):
    """As in keras_files.py."""
    i = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(seed * 1_000_003)
    bits = (i * np.uint64(2654435761)) % np.uint64(2**32)
    return (bits.astype(np.float64) / 2**32 - 0.5).astype(np.float32).reshape(shape)


def network():
    """Two branches of the same layers, listed against the order in which Keras meets them, a frozen layer, and a nested model."""
    image = keras.Input((6, 6, 2), name="image")
    a = L.Conv2D(3, 3, activation="relu", name="a")(image)
    b = L.Conv2D(3, 3, activation="tanh", name="b")(image)
    frozen = L.Conv2D(3, 1, name="frozen", trainable=False)
    # No bias before the normalization: its gradient would be nothing but rounding, which Adam makes steps of full length from.
    conv, normalized = L.Conv2D(3, 1, use_bias=False, name="conv"), L.BatchNormalization(momentum=0.9, name="normalized")
    inner = keras.Sequential([keras.Input((4, 4, 3)), conv, normalized, L.Flatten()], name="inner")
    x = inner(L.Subtract()([frozen(b), a]))
    return keras.Model(image, L.Dense(2, name="end")(x), name="network")


def optimizers():
    o = keras.optimizers
    return {
        "sgd": o.SGD(0.05, momentum=0.9, nesterov=True),
        "plain": o.SGD(0.05),
        "rmsprop": o.RMSprop(0.002, momentum=0.5, centered=True),
        "adam": o.Adam(0.003),
        "adamw": o.AdamW(o.schedules.ExponentialDecay(0.01, 2, 0.9), weight_decay=0.01),
    }


def steps(model, first, count):
    shape, out = tuple(model.input_shape[1:]), tuple(model.output_shape[1:])
    for step in range(first, first + count):
        model.train_on_batch(fill((4,) + shape, 100 + step), fill((4,) + out, 200 + step))


def weights(model):
    return {w.path: [float(v) for v in np.asarray(w).ravel()] for w in model.weights if "seed" not in w.path}


def keep(path):
    (FOLDER / (path.name + ".gz")).write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def make():
    FOLDER.mkdir(parents=True, exist_ok=True)
    expected = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, optimizer in optimizers().items():
            keras.utils.clear_session()
            model = network()
            for seed, weight in enumerate(model.weights):
                values = fill(tuple(weight.shape), seed)
                weight.assign(np.abs(values) + 0.5 if "variance" in weight.path or "gamma" in weight.path else values)
            model.compile(optimizer, "mse")
            steps(model, 0, 2)
            for ending in (".keras", ".h5"):
                path = Path(folder) / f"keras_{name}{ending}"
                model.save(path)
                keep(path)
            steps(model, 2, 3)
            expected[name] = weights(model)
    (FOLDER / "keras_training.json").write_text(json.dumps(expected) + "\n")


def verify(program):
    expected = json.loads((FOLDER / "keras_training.json").read_text())
    came_to, worst = {}, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name in expected:
            for ending in (".keras", ".h5"):
                source = Path(folder) / f"keras_{name}{ending}"
                source.write_bytes(gzip.decompress((FOLDER / (source.name + ".gz")).read_bytes()))
                target = Path(folder) / f"striate_{name}{ending}"
                subprocess.run([program, source, target, "3", "2"], check=True)
                keras.utils.clear_session()
                # Keras 3 cannot go on from an .h5 file of its own either: it does not find its loss again.
                goes_on = ending == ".keras"
                model = keras.models.load_model(target, compile=goes_on)
                there = weights(model)
                assert not goes_on or int(np.asarray(model.optimizer.iterations)) == 5, name
                for path, values in expected[name].items():
                    difference = np.abs(np.float32(there[path]) - np.float32(values)).max()
                    worst = max(worst, float(difference))
                    assert difference < TOLERANCE, f"{target.name}: {path} differs by {difference} after striate's steps"
                if not goes_on:
                    continue
                # The same from here on, by Keras alone and by Keras on striate's file.
                steps(model, 5, 3)
                alone = keras.models.load_model(source)
                steps(alone, 2, 6)
                # By order: Keras gives the weights of a nested model another path when it has read the file.
                for (path, values), other in zip(weights(model).items(), weights(alone).values(), strict=True):
                    difference = np.abs(np.float32(other) - np.float32(values)).max()
                    worst = max(worst, float(difference))
                    assert difference < TOLERANCE, f"{target.name}: {path} differs by {difference} after Keras's steps"
                came_to[target.name] = weights(model)
                keep(target)
                print(f"{target.name:24} goes on in keras {keras.__version__}")
    (FOLDER / "striate_training.json").write_text(json.dumps({"keras": keras.__version__, "weights": came_to}) + "\n")
    print(f"largest difference {worst:.2e}")


if __name__ == "__main__":
    if sys.argv[1:] == ["make"]:
        make()
    elif len(sys.argv) == 3 and sys.argv[1] == "verify":
        verify(sys.argv[2])
    else:
        sys.exit(__doc__)
