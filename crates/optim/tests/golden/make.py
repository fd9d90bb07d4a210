"""Writes keras.json: what real Keras's optimizers and schedules answer.

    python make.py > keras.json

Needs Keras 3 with any back end. Every optimizer minimises sum(a * (w - b)^2) / 2 over two weights for a number of steps; the
gradient a * (w - b) is computed in float32 from its own weights, so that only the start, a and b have to be known.
"""

import json

import keras
import numpy as np
from keras import optimizers
from keras.optimizers import schedules

STEPS = 25
A = [np.array([[1.0, 0.5, 2.0], [0.1, 3.0, 0.0]], "float32"), np.array([1.5, 0.02], "float32")]
B = [np.array([[1.0, -2.0, 0.5], [4.0, 0.0, 1.0]], "float32"), np.array([-1.0, 3.0], "float32")]
START = [np.array([[0.5, 1.0, -1.0], [2.0, 0.25, -0.75]], "float32"), np.array([0.0, -4.0], "float32")]

OPTIMIZERS = [
    optimizers.SGD(),
    optimizers.SGD(0.1, momentum=0.9),
    optimizers.SGD(0.1, momentum=0.8, nesterov=True),
    optimizers.SGD(0.1, weight_decay=0.05),
    optimizers.SGD(0.3, clipvalue=0.4),
    optimizers.SGD(0.3, clipnorm=0.6),
    optimizers.SGD(0.3, global_clipnorm=0.9, momentum=0.5),
    optimizers.RMSprop(),
    optimizers.RMSprop(0.05, rho=0.8, epsilon=1e-3),
    optimizers.RMSprop(0.02, momentum=0.7),
    optimizers.RMSprop(0.02, centered=True),
    optimizers.RMSprop(0.02, centered=True, momentum=0.5, weight_decay=0.01),
    optimizers.Adam(),
    optimizers.Adam(0.1, beta_1=0.8, beta_2=0.95, epsilon=1e-4),
    optimizers.Adam(schedules.ExponentialDecay(0.1, 5, 0.7), clipnorm=1.0),
    optimizers.AdamW(),
    optimizers.AdamW(0.05, weight_decay=0.1),
    optimizers.SGD(schedules.CosineDecay(0.0, 15, alpha=0.1, warmup_target=0.2, warmup_steps=5), momentum=0.5),
]

SCHEDULES = [
    schedules.ExponentialDecay(0.1, 7, 0.9),
    schedules.ExponentialDecay(0.1, 7, 0.9, staircase=True),
    schedules.InverseTimeDecay(0.1, 7, 0.5),
    schedules.InverseTimeDecay(0.1, 7, 0.5, staircase=True),
    schedules.PiecewiseConstantDecay([3, 10], [0.1, 0.01, 0.001]),
    schedules.PolynomialDecay(0.1, 20, 0.01, power=2.0),
    schedules.PolynomialDecay(0.1, 8, 0.01, power=0.5, cycle=True),
    schedules.CosineDecay(0.1, 20),
    schedules.CosineDecay(0.1, 20, alpha=0.25),
    schedules.CosineDecay(0.01, 20, warmup_target=0.1, warmup_steps=6),
]


def trajectory(optimizer):
    serialized = optimizers.serialize(optimizer)
    weights = [keras.Variable(start) for start in START]
    optimizer.build(weights)
    path = []
    for _ in range(STEPS):
        gradients = [a * (w.numpy() - b) for a, b, w in zip(A, B, weights)]
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], weights)
        path.append([float(v) for w in weights for v in w.numpy().ravel()])
    return {"class_name": serialized["class_name"], "config": serialized["config"], "weights": path}


def values(schedule):
    steps = list(range(0, 45))
    rates = [float(schedule(np.array(step, "float32"))) for step in steps]
    return {"schedule": schedules.serialize(schedule), "steps": steps, "rates": rates}


def numbers(arrays):
    return [{"shape": list(v.shape), "values": [float(x) for x in v.ravel()]} for v in arrays]


print(
    json.dumps(
        {
            "keras": keras.__version__,
            "a": numbers(A),
            "b": numbers(B),
            "start": numbers(START),
            "optimizers": [trajectory(optimizer) for optimizer in OPTIMIZERS],
            "schedules": [values(schedule) for schedule in SCHEDULES],
        }
    )
)
