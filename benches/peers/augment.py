"""Other programs on the work of `striate bench augment` and `augment_smooth`.

    augment.py PEER FOLDER WORKERS REPEAT

PEER is keras (ImageDataGenerator), torchvision (v2 on tensors) or albumentations (with OpenCV). FOLDER has a folder of JPEGs for each
class. An epoch decodes all of them, resizes to 150x150, turns, shifts, shears, zooms and mirrors at random, and makes batches of 20
float32 images in 0..1, with WORKERS processes. Prints one JSON line: the median and the best of REPEAT epochs after two to warm up, the
processor time of all processes, and that of each stage in one process alone, in ms an image.
"""
import glob
import json
import os
import resource
import statistics
import sys
import time

import numpy as np

PEER, FOLDER, WORKERS, REPEAT = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
BATCH, SIZE = 20, 150
FILES = sorted(glob.glob(os.path.join(glob.escape(FOLDER), "*", "*.jpg")))


def keras():
    """(epoch, stages) of ImageDataGenerator, its items made by a pool of processes as fit does it with workers."""
    # The generator is NumPy and SciPy; Keras wants some back end to be there.
    os.environ.setdefault("KERAS_BACKEND", "torch")
    from multiprocessing import get_context

    from keras.src.legacy.preprocessing import image as legacy
    from keras.utils import img_to_array, load_img
    from PIL import Image

    generator = legacy.ImageDataGenerator(
        rescale=1 / 255, rotation_range=40, width_shift_range=0.2, height_shift_range=0.2, shear_range=0.2,
        zoom_range=0.2, horizontal_flip=True, fill_mode="nearest")
    global FLOW
    FLOW = generator.flow_from_directory(FOLDER, target_size=(SIZE, SIZE), batch_size=BATCH, class_mode="binary")
    pool = get_context("fork").Pool(WORKERS)
    steps = len(FLOW)

    def epoch():
        return sum(len(labels) for _, labels in pool.imap(item, range(steps)))

    stages = {
        "decode": lambda path: Image.open(path).convert("RGB"),
        "resize": lambda image: image.resize((SIZE, SIZE), Image.Resampling.NEAREST),
        "change": lambda image: generator.random_transform(img_to_array(image)),
        "float": generator.standardize,
    }
    return epoch, stages


def item(i):
    return FLOW[i]


def loader(read):
    """An epoch of a DataLoader over the files."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    class Files(Dataset):
        def __len__(self):
            return len(FILES)

        def __getitem__(self, i):
            return read(FILES[i]), i % 2

    torch.manual_seed(0)
    batches = DataLoader(Files(), batch_size=BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True)
    return lambda: sum(len(labels) for _, labels in batches)


def torchvision():
    import torch
    import torchvision as tv
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    resize = v2.Resize((SIZE, SIZE), antialias=True)
    change = v2.Compose([
        v2.RandomAffine(40, translate=(0.2, 0.2), scale=(0.8, 1.2), shear=11.5,
                        interpolation=v2.InterpolationMode.BILINEAR),
        v2.RandomHorizontalFlip(),
    ])
    stages = {
        "decode": lambda path: tv.io.decode_image(path, mode="RGB"),
        "resize": resize,
        "change": change,
        "float": v2.ToDtype(torch.float32, scale=True),
    }
    return loader(chained(stages)), stages


def albumentations():
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations as A
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    resize = A.Resize(SIZE, SIZE)
    change = A.Compose([
        A.HorizontalFlip(p=0.5),
        A.Affine(rotate=(-40, 40), translate_percent={"x": (-0.2, 0.2), "y": (-0.2, 0.2)}, shear=(-11.5, 11.5),
                 scale=(0.8, 1.2), border_mode=cv2.BORDER_REPLICATE, p=1.0),
    ])
    stages = {
        "decode": lambda path: cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB),
        "resize": lambda image: resize(image=image)["image"],
        "change": lambda image: change(image=image)["image"],
        "float": lambda image: torch.from_numpy(image.astype(np.float32) * (1 / 255)),
    }
    return loader(chained(stages)), stages


def chained(stages):
    def run(value):
        for stage in stages.values():
            value = stage(value)
        return value

    return run


def processor_seconds():
    """What this process and its children have used."""
    ticks = 0
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(stat) as file:
                fields = file.read().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        if os.getpid() in (int(fields[1]), int(stat.split("/")[2])):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


epoch, stages = {"keras": keras, "torchvision": torchvision, "albumentations": albumentations}[PEER]()
for _ in range(2):
    epoch()
rates, used = [], processor_seconds()
for _ in range(REPEAT):
    start = time.perf_counter()
    count = epoch()
    rates.append(count / (time.perf_counter() - start))
used = processor_seconds() - used
assert count == len(FILES)

costs, values = {}, FILES
for name, stage in stages.items():
    stage(values[0])
    start = time.process_time()
    values = [stage(value) for value in values]
    costs[name] = 1e3 * (time.process_time() - start) / len(FILES)
print(json.dumps({
    "peer": PEER,
    "workload": "augment" if PEER == "keras" else "augment_smooth",
    "unit": "images/s",
    "median": statistics.median(rates),
    "best": max(rates),
    "cpu_ms_per_image": 1e3 * used / REPEAT / len(FILES),
    "stage_cpu_ms": costs,
    "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}), flush=True)
os._exit(0)
