"""Writes pictures.json: what Pillow makes of resizing, and what Keras makes of its random transformations.

Needs keras, scipy and pillow; the pictures are made here. Results are on the scale 0..255.

    python3 pictures.py
"""

import itertools
import json
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.simplefilter("ignore")

import numpy as np
from keras.src.legacy.preprocessing import image as keras_image
from PIL import Image

FOLDER = os.path.dirname(os.path.abspath(__file__))
ARRAYS = {}


def put(name, values):
    values = np.asarray(values)
    numbers = [round(float(v), 3) for v in values.ravel()]
    ARRAYS[name] = {"shape": list(values.shape), "values": [int(v) if v == int(v) else v for v in numbers]}


def picture(height, width, channels, seed):
    """Waves and a checkerboard, so that neither smooth nor sharp places are missing."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype("float64")
    planes = []
    for _ in range(channels):
        a, b, c = random.uniform(0.1, 0.9, 3)
        planes.append(120 + 90 * np.sin(a * x + b * y + 6 * c) + 40 * ((x // 3 + y // 2) % 2))
    return np.clip(np.stack(planes, axis=-1), 0, 255).astype("uint8")


def resizing():
    filters = {
        "nearest": Image.NEAREST, "area": Image.BOX, "bilinear": Image.BILINEAR, "hamming": Image.HAMMING,
        "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS,
    }
    for kind, source in {"rgb": picture(17, 23, 3, 1), "grey": picture(24, 15, 1, 2)}.items():
        put(f"resize/{kind}", source)
        image = Image.fromarray(source if kind == "rgb" else source[:, :, 0])
        height, width = source.shape[:2]
        for (name, filter), (h, w) in itertools.product(filters.items(), [(7, 9), (30, 11), (height, 40), (5, width)]):
            result = np.asarray(image.resize((w, h), filter)).reshape(h, w, -1)
            put(f"resize/{kind}/stretch/{name}/{h}x{w}", result)
        # Keras's keep_aspect_ratio.
        for name, (h, w) in itertools.product(["nearest", "bilinear", "lanczos"], [(9, 9), (6, 20)]):
            crop_height, crop_width = min(height, width * h // w), min(width, height * w // h)
            top, left = (height - crop_height) // 2, (width - crop_width) // 2
            box = [left, top, left + crop_width, top + crop_height]
            result = np.asarray(image.resize((w, h), filters[name], box=box)).reshape(h, w, -1)
            put(f"resize/{kind}/crop/{name}/{h}x{w}", result)


PARAMETERS = ["theta", "tx", "ty", "shear", "zx", "zy", "flip_horizontal", "flip_vertical",
              "channel_shift_intensity", "brightness", "cval"]
CASES = {
    "turn": {"theta": 33.3},
    "shift": {"tx": 3.7, "ty": -5.2},
    "far": {"tx": 61.3, "ty": -47.6},
    "shear": {"shear": 21.0},
    "zoom": {"zx": 0.7, "zy": 1.6},
    "all": {"theta": -17.0, "tx": -2.4, "ty": 4.1, "shear": 8.0, "zx": 1.3, "zy": 0.8, "flip_horizontal": True},
    "flips": {"theta": 5.0, "zx": 1.2, "zy": 1.2, "flip_horizontal": True, "flip_vertical": True},
}
COLOURS = {
    "channel_up": {"channel_shift_intensity": 31.5, "flip_vertical": True},
    "channel_down": {"channel_shift_intensity": -70.25},
    "dark": {"brightness": 0.43},
    "bright": {"brightness": 1.8, "theta": 12.0},
    "beyond": {"brightness": 0.9, "theta": 45.0, "cval": -80.0},
}


def transform(name, source, mode, parameters):
    cval = parameters.get("cval", 17.0)
    generator = keras_image.ImageDataGenerator(fill_mode=mode, cval=cval)
    given = {key: value for key, value in parameters.items() if key != "cval"}
    put(f"{name}/result", generator.apply_transform(source.astype("float32"), given))
    defaults = {"zx": 1, "zy": 1, "channel_shift_intensity": 1000, "brightness": 1000, "cval": cval}
    put(f"{name}/parameters", [float(parameters.get(key, defaults.get(key, 0))) for key in PARAMETERS])


def transforming():
    rgb, grey = picture(19, 19, 3, 3), picture(16, 16, 1, 4)
    put("transform/rgb", rgb)
    put("transform/grey", grey)
    for mode in ["nearest", "constant", "reflect", "wrap"]:
        for case, parameters in CASES.items():
            kind, source = ("grey", grey) if case in ("turn", "far") else ("rgb", rgb)
            transform(f"transform/{kind}/{mode}/{case}", source, mode, parameters)
    for case, parameters in COLOURS.items():
        transform(f"transform/rgb/constant/{case}", rgb, "constant", parameters)


def files():
    """A picture in every format, for the decoders."""
    source = picture(24, 32, 3, 5)
    put("files/rgb", source)
    image = Image.fromarray(source)
    image.save(os.path.join(FOLDER, "plain.jpg"), quality=95, subsampling=0)
    put("files/jpg", np.asarray(Image.open(os.path.join(FOLDER, "plain.jpg"))))
    image.save(os.path.join(FOLDER, "plain.bmp"))
    image.save(os.path.join(FOLDER, "plain.webp"), lossless=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(os.path.join(FOLDER, "turned.jpg"), quality=95, subsampling=0, exif=exif)
    image.convert("CMYK").save(os.path.join(FOLDER, "cmyk.jpg"), quality=95)
    frames = [image.quantize(64), image.transpose(Image.ROTATE_180).quantize(64)]
    put("files/gif", np.asarray(frames[0].convert("RGB")))
    frames[0].save(os.path.join(FOLDER, "moving.gif"), save_all=True, append_images=frames[1:])


resizing()
transforming()
files()
path = os.path.join(FOLDER, "pictures.json")
with open(path + ".new", "w") as file:
    lines = [f"{json.dumps(name)}: {json.dumps(array, separators=(',', ':'))}" for name, array in ARRAYS.items()]
    file.write("{\n" + ",\n".join(lines) + "\n}\n")
os.replace(path + ".new", path)
