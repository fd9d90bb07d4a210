"""Writes changes.json: what Pillow makes of colours and of resizing with opacity, and how Keras standardizes by a whole set.

Needs keras, scipy and pillow; the pictures are made here.

    python3 changes.py
"""

import itertools
import json
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.simplefilter("ignore")

import numpy as np
from keras.src.legacy.preprocessing import image as keras_image
from PIL import Image, ImageEnhance, ImageOps

FOLDER = os.path.dirname(os.path.abspath(__file__))
ARRAYS = {}


def put(name, values, digits=4):
    values = np.asarray(values)
    numbers = [round(float(v), digits) for v in values.ravel()]
    ARRAYS[name] = {"shape": list(values.shape), "values": [int(v) if v == int(v) else v for v in numbers]}


def picture(height, width, channels, seed):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype("float64")
    planes = []
    for _ in range(channels):
        a, b, c = random.uniform(0.1, 0.9, 3)
        planes.append(120 + 90 * np.sin(a * x + b * y + 6 * c) + 30 * ((x // 3 + y // 2) % 2))
    return np.clip(np.stack(planes, axis=-1), 0, 255).astype("uint8")


def resizing_with_opacity():
    filters = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "lanczos": Image.LANCZOS}
    source = picture(13, 17, 4, 8)
    source[:4, :, 3], source[4:7, :, 3] = 0, 255
    put("rgba", source)
    image = Image.fromarray(source, "RGBA")
    for (name, filter), (h, w) in itertools.product(filters.items(), [(5, 7), (20, 22)]):
        put(f"rgba/{name}/{h}x{w}", image.resize((w, h), filter))


def colours():
    for kind, source in {"rgb": picture(14, 18, 3, 3), "grey": picture(14, 18, 1, 4)}.items():
        put(f"colours/{kind}", source)
        image = Image.fromarray(source if kind == "rgb" else source[:, :, 0])
        results = {
            "posterize/3": ImageOps.posterize(image, 3),
            "solarize/100": ImageOps.solarize(image, 100),
            "autocontrast/0": ImageOps.autocontrast(image),
            "equalize/0": ImageOps.equalize(image),
            "invert/0": ImageOps.invert(image),
        }
        for factor in (0.37, 1.8):
            results[f"brightness/{factor}"] = ImageEnhance.Brightness(image).enhance(factor)
            results[f"contrast/{factor}"] = ImageEnhance.Contrast(image).enhance(factor)
            results[f"sharpness/{factor}"] = ImageEnhance.Sharpness(image).enhance(factor)
            results[f"saturation/{factor}"] = ImageEnhance.Color(image).enhance(factor)
        for name, result in results.items():
            put(f"colours/{kind}/{name}", np.asarray(result).reshape(source.shape))


def standardizing():
    for count in (5, 40):
        samples = np.random.default_rng(count).uniform(0, 255, (count, 3, 4, 2)).astype("float32").round()
        put(f"standardize/{count}", samples)
        for name, options in {
            "center": {"featurewise_center": True},
            "std": {"featurewise_center": True, "featurewise_std_normalization": True},
            "zca": {"featurewise_center": True, "zca_whitening": True, "zca_epsilon": 1e-2},
        }.items():
            generator = keras_image.ImageDataGenerator(**options)
            generator.fit(samples)
            put(f"standardize/{count}/{name}", [generator.standardize(x.copy()) for x in samples[:4]], 5)


resizing_with_opacity()
colours()
standardizing()
path = os.path.join(FOLDER, "changes.json")
with open(path + ".new", "w") as file:
    lines = [f"{json.dumps(name)}: {json.dumps(array, separators=(',', ':'))}" for name, array in ARRAYS.items()]
    file.write("{\n" + ",\n".join(lines) + "\n}\n")
os.replace(path + ".new", path)
