"""Files of many kinds, as several Kerases write them, with what each Keras predicts.

    python xtask/golden/keras_more_files.py TAG FOLDER [NAME…]

writes FOLDER/TAG_NAME.ENDING.gz for each network below that this Keras can build (or of those named), and FOLDER/TAG.json.gz with the shapes of the inputs and the
predictions. Runs under Python 3.6 and newer with Keras 1 (Theano), 2, 3, tf.keras or tf_keras, whichever is installed; `KERAS` says which
module to import if there are several. Weights and inputs are a formula (`fill`).
"""

import gzip
import importlib
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "0")

import numpy as np

keras = importlib.import_module(os.environ.get("KERAS", "keras"))
L = importlib.import_module(os.environ.get("KERAS", "keras") + ".layers") if "." not in os.environ.get("KERAS", "keras") else keras.layers
VERSION = getattr(keras, "__version__", None) or importlib.import_module("tensorflow").__version__
MAJOR = int(VERSION.split(".")[0])
BATCH = 2


def fill(shape, seed):
    """As in keras_files.py."""
    i = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(seed * 1000003)
    bits = (i * np.uint64(2654435761)) % np.uint64(2**32)
    return (bits.astype(np.float64) / 2**32 - 0.5).astype(np.float32).reshape(shape)


def has(*names):
    return all(hasattr(L, name) for name in names)


def Model(inputs, outputs, name):
    if MAJOR == 1:
        return keras.models.Model(input=inputs, output=outputs, name=name)
    return keras.models.Model(inputs=inputs, outputs=outputs, name=name)


def Stack(layers, name=None):
    model = keras.models.Sequential(name=name)
    for layer in layers:
        model.add(layer)
    return model


NETS = {}


def net(function):
    NETS[function.__name__] = function
    return function


# Keras 1 on Theano.

if MAJOR == 1:

    @net
    def stack():
        K = keras.backend.image_dim_ordering()
        shape = (2, 9, 8) if K == "th" else (9, 8, 2)
        return Stack([
            L.ZeroPadding2D((1, 1), input_shape=shape),
            L.Convolution2D(4, 3, 2, activation="relu", subsample=(2, 1), W_regularizer=keras.regularizers.l2(0.1)),
            L.BatchNormalization(axis=1 if K == "th" else -1, mode=0),
            L.advanced_activations.LeakyReLU(alpha=0.2),
            L.AtrousConvolution2D(3, 2, 2, atrous_rate=(1, 2), border_mode="same") if K == "tf" else L.Convolution2D(3, 2, 2, border_mode="same"),
            L.MaxPooling2D((2, 2)),
            L.UpSampling2D((2, 2)),
            L.Cropping2D(((1, 0), (0, 1))),
            L.AveragePooling2D((2, 2), strides=(1, 1)),
            L.Dropout(0.3),
            L.Flatten(),
            L.Dense(5, activation="hard_sigmoid", init="uniform"),
            L.Dense(3, activation="softmax"),
        ], "stack")

    @net
    def graph():
        th = keras.backend.image_dim_ordering() == "th"
        image = L.Input(shape=(2, 8, 8) if th else (8, 8, 2), name="image")
        a = L.Convolution2D(3, 3, 3, activation="relu", border_mode="same", name="a")(image)
        b = L.Convolution2D(3, 1, 1, name="b/one")(image)
        joined = [L.merge([a, b], mode=m) for m in ("sum", "mul", "ave", "max")]
        x = L.merge(joined, mode="concat", concat_axis=1 if th else 3)
        x = L.SeparableConvolution2D(4, 3, 3, depth_multiplier=2, name="separable")(x) if not th else L.Convolution2D(4, 3, 3)(x)
        x = L.Deconvolution2D(2, 3, 3, output_shape=(None, 2, 8, 8) if th else (None, 8, 8, 2), name="up")(x)
        x = L.advanced_activations.PReLU(shared_axes=[2, 3] if th else [1, 2])(x)
        x = L.advanced_activations.ELU(0.5)(x)
        x = L.GlobalAveragePooling2D()(x)
        return Model(image, [L.Dense(2, name="first")(x), L.Dense(1, activation="tanh", name="second")(x)], "graph")

    @net
    def series():
        return Stack([
            L.Convolution1D(4, 3, input_shape=(12, 3), activation="relu"),
            L.MaxPooling1D(2),
            L.ZeroPadding1D(1),
            L.AtrousConvolution1D(3, 2, atrous_rate=2, border_mode="same"),
            L.UpSampling1D(2),
            L.Cropping1D((1, 1)),
            L.TimeDistributed(L.Dense(3, activation="softplus")),
            L.LocallyConnected1D(2, 3),
            L.GlobalMaxPooling1D(),
            L.Dense(2, activation="softsign", bias=False),
        ], "series")

    @net
    def text():
        return Stack([
            L.Embedding(11, 4, input_length=9),
            L.Convolution1D(3, 3, activation="tanh"),
            L.GlobalAveragePooling1D(),
            L.Dense(1, activation="sigmoid"),
        ], "text")

    @net
    def volume():
        th = keras.backend.image_dim_ordering() == "th"
        return Stack([
            L.Convolution3D(2, 2, 2, 2, input_shape=(1, 5, 5, 5) if th else (5, 5, 5, 1)),
            L.MaxPooling3D((2, 2, 2)),
            L.Flatten(),
            L.RepeatVector(3),
            L.Permute((2, 1)),
            L.Reshape((3, 2, 8)),
            L.Flatten(),
            L.Dense(2),
        ], "volume")

else:

    @net
    def trained():
        model = Stack([
            L.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1)) if MAJOR == 2 else keras.Input((8, 8, 1)),
        ] + ([] if MAJOR == 2 else [L.Conv2D(4, 3, activation="relu")]) + [
            L.BatchNormalization(momentum=0.9),
            L.MaxPooling2D(2),
            L.Flatten(),
            L.Dropout(0.5),
            L.Dense(3, activation="softmax"),
        ], "trained")
        give_weights(model)
        model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
        y = np.eye(3, dtype="float32")[[0, 1, 2, 1]]
        model.fit(fill((4, 8, 8, 1), 3), y, epochs=2, batch_size=2, shuffle=False, verbose=0)
        model.is_done = True
        return model

    @net
    def unet():
        image = L.Input((16, 16, 3), name="image")
        kept, x = [], image
        for i, filters in enumerate((4, 6)):
            x = L.Conv2D(filters, 3, padding="same", use_bias=False, name="down%d_conv" % i)(x)
            x = L.BatchNormalization(scale=False, name="down%d_bn" % i)(x)
            x = L.Activation("relu")(x)
            kept.append(x)
            x = L.MaxPooling2D((2, 2), padding="same")(x)
        x = L.Conv2D(8, 3, padding="same", dilation_rate=2, activation="elu")(x)
        for i, filters in enumerate((6, 4)):
            x = L.Conv2DTranspose(filters, 3, strides=2, padding="same")(x) if i == 0 else L.UpSampling2D()(x)
            x = L.concatenate([x, kept.pop()]) if MAJOR == 2 else L.Concatenate()([x, kept.pop()])
            x = L.SpatialDropout2D(0.2)(x)
            x = L.Conv2D(filters, 3, padding="same", activation="relu")(x)
        return Model(image, L.Conv2D(2, 1, activation="softmax", name="classes")(x), "unet")

    @net
    def residual():
        image = L.Input((9, 9, 2))
        x = L.ZeroPadding2D(((0, 1), (0, 1)))(image)
        x = L.Conv2D(4, 3, strides=2, use_bias=False)(x)
        x = L.BatchNormalization(epsilon=1e-5, momentum=0.99)(x)
        x = L.ReLU(6.0)(x)
        for stride in (1, 2):
            side = x if stride == 1 else L.Conv2D(4, 1, strides=stride)(x)
            y = L.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x)
            y = L.BatchNormalization()(y)
            y = L.ReLU(max_value=6.0)(y)
            y = L.SeparableConv2D(4, 3, padding="same", depth_multiplier=2)(y)
            x = L.Add()([side, y])
        x = L.GlobalAveragePooling2D()(x)
        x = L.Reshape((1, 1, 4))(x)
        x = L.Dropout(0.001)(x)
        x = L.Conv2D(3, 1, padding="same")(x)
        return Model(image, L.Softmax()(L.Flatten()(x)), "residual")

    @net
    def stacks_in_stacks():
        first = [L.Conv2D(3, 3, input_shape=(10, 10, 2)) if MAJOR == 2 else L.Conv2D(3, 3), L.BatchNormalization()]
        if MAJOR > 2:
            first.insert(0, keras.Input((10, 10, 2)))
        inner = Stack(first, "inner")
        middle = Stack([inner, L.Activation("relu"), L.MaxPooling2D(2)], "middle")
        head = Stack([L.Flatten(input_shape=(4, 4, 3)) if MAJOR == 2 else L.Flatten(), L.Dense(4, activation="selu")], "head")
        return Stack([middle, head, L.Dense(2)], "stacks")

    @net
    def siamese():
        left, right = L.Input((8, 8, 1), name="left"), L.Input((8, 8, 1), name="right")
        image = L.Input((8, 8, 1))
        x = L.Conv2D(3, 3, activation="relu")(image)
        x = L.Flatten()(L.MaxPooling2D(2)(x))
        tower = Model(image, L.Dense(4)(x), "tower")
        a, b = tower(left), tower(right)
        difference = L.Subtract()([a, b])
        cosine = L.Dot(axes=1, normalize=True)([a, b])
        product = L.Dot(axes=-1)([a, b])
        x = L.Concatenate()([difference, cosine, product])
        return Model([left, right], L.Dense(1, activation="sigmoid")(x), "siamese")

    @net
    def shared():
        image = L.Input((8, 8, 2), name="z_image")
        other = L.Input((4,), name="a_other")
        conv = L.Conv2D(2, 3, padding="same", name="conv")
        norm = L.BatchNormalization(name="norm")
        x = norm(conv(norm(conv(image))))
        dense = L.Dense(4, activation="relu", name="dense")
        y = dense(dense(other))
        x = L.GlobalMaxPooling2D()(x)
        z = L.Concatenate()([x, y])
        last = L.Dense(3, name="last")(z)
        return Model([image, other], [last, y, x], "shared")

    @net
    def transfer():
        image = L.Input((12, 12, 3))
        x = L.Conv2D(4, 3, activation="relu", name="block1_conv1")(image)
        x = L.BatchNormalization(name="block1_bn")(x)
        x = L.MaxPooling2D(2, name="block1_pool")(x)
        x = L.Conv2D(4, 3, activation="relu", name="block2_conv1")(x)
        base = Model(image, x, "base")
        for layer in base.layers:
            layer.trainable = layer.name == "block2_conv1"
        return Stack([base, L.Flatten(), L.Dense(3, activation="relu"), L.Dropout(0.5), L.Dense(1, activation="sigmoid")], "transfer")

    @net
    def text():
        inner = [L.Embedding(12, 5, input_length=10)] if VERSION.startswith(("2.1.", "2.2", "2.3", "2.4", "2.9")) else [L.Input((10,)), L.Embedding(12, 5)]
        return Stack(inner + [L.Conv1D(4, 3, activation="relu"), L.MaxPooling1D(2), L.Conv1D(3, 2), L.GlobalMaxPooling1D(), L.Dense(1)], "text")

    @net
    def activations():
        x = L.Input((6,))
        names = "elu exponential hard_sigmoid linear relu selu sigmoid softplus softsign tanh softmax swish gelu relu6 leaky_relu silu mish hard_silu "
        names += "log_softmax log_sigmoid celu hard_tanh tanh_shrink hard_shrink soft_shrink squareplus sparse_plus threshold"
        known = [n for n in names.split() if hasattr(keras.activations, n)]
        outputs = [L.Dense(3, activation=n, name="dense_" + n)(x) for n in known if n != "threshold"]
        return Model(x, outputs, "activations")

    @net
    def rectifiers():
        x = image = L.Input((5, 4, 3))
        x = L.LeakyReLU(0.15)(x)
        x = L.PReLU()(x)
        x = L.Conv2D(4, 2)(x)
        x = L.PReLU(shared_axes=[1, 2])(x)
        x = L.ELU(0.6)(x)
        if has("ThresholdedReLU"):
            x = L.ThresholdedReLU(0.05)(x)
        x = L.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.01)(x)
        x = L.Conv2D(4, 1, activation=L.LeakyReLU(0.4) if MAJOR == 3 else "relu")(x)
        x = L.Conv2D(4, 1, activation=L.ReLU(0.3) if MAJOR == 3 else "relu")(x)
        a = L.Softmax(axis=1)(x)
        b = L.Softmax(axis=-1)(x)
        return Model(image, [a, b], "rectifiers")

    @net
    def volume():
        x = image = L.Input((6, 5, 6, 1))
        x = L.ZeroPadding3D((1, 0, 1))(x)
        x = L.Conv3D(2, (2, 3, 2), activation="relu", strides=(1, 1, 2))(x)
        x = L.UpSampling3D((1, 2, 1))(x)
        x = L.Cropping3D(((1, 0), (0, 1), (0, 0)))(x)
        x = L.SpatialDropout3D(0.1)(x)
        x = L.MaxPooling3D(2, strides=1)(x)
        x = L.AveragePooling3D((2, 2, 1))(x)
        x = L.Conv3DTranspose(2, 3, strides=2)(x)
        return Model(image, [L.GlobalMaxPooling3D()(x), L.GlobalAveragePooling3D()(x)], "volume")

    @net
    def series():
        x = given = L.Input((16, 3))
        x = L.Conv1D(4, 3, padding="causal", dilation_rate=2)(x)
        x = L.ZeroPadding1D((1, 2))(x)
        x = L.SeparableConv1D(4, 3, depth_multiplier=2, activation="relu")(x)
        x = L.SpatialDropout1D(0.2)(x)
        x = L.AveragePooling1D(2, strides=1, padding="same")(x)
        if has("LocallyConnected1D"):
            x = L.LocallyConnected1D(3, 4, strides=2, activation="tanh")(x)
        if has("DepthwiseConv1D"):
            x = L.DepthwiseConv1D(3, depth_multiplier=2, padding="same")(x)
        if has("Conv1DTranspose"):
            x = L.Conv1DTranspose(3, 3, strides=2, padding="same")(x)
        x = L.UpSampling1D(2)(x)
        x = L.Cropping1D(1)(x)
        x = L.Permute((2, 1))(x)
        x = L.TimeDistributed(L.Dense(4))(x)
        x = L.Lambda(lambda v: v)(x) if False else x
        a = L.GlobalAveragePooling1D()(x)
        b = L.RepeatVector(2)(a)
        return Model(given, [a, L.Flatten()(b)], "series")

    if has("LocallyConnected2D"):

        @net
        def local():
            x = image = L.Input((7, 6, 2))
            x = L.LocallyConnected2D(3, (3, 2), strides=(2, 1), activation="relu")(x)
            x = L.LocallyConnected2D(2, 1, use_bias=False)(x)
            return Model(image, L.Dense(2)(L.Flatten()(x)), "local")

    @net
    def films():
        x = film = L.Input((3, 8, 8, 2))
        x = L.TimeDistributed(L.Conv2D(3, 3, activation="relu"), name="each_conv")(x)
        x = L.TimeDistributed(L.MaxPooling2D(2))(x)
        x = L.TimeDistributed(L.Flatten())(x)
        x = L.TimeDistributed(L.Dense(4), name="each_dense")(x)
        return Model(film, L.GlobalAveragePooling1D()(x), "films")

    @net
    def films_of_models():
        first = [L.Conv2D(3, 3, activation="relu", input_shape=(8, 8, 2))] if MAJOR == 2 else [keras.Input((8, 8, 2)), L.Conv2D(3, 3, activation="relu")]
        each = Stack(first + [L.BatchNormalization(), L.GlobalMaxPooling2D(), L.Dense(4)], "each")
        film = L.Input((3, 8, 8, 2))
        x = L.TimeDistributed(each, name="frames")(film)
        return Model(film, L.GlobalMaxPooling1D()(x), "films_of_models")

    @net
    def options():
        """Initializers, regularizers and constraints of many kinds, which prediction does not need."""
        R, C, I = keras.regularizers, keras.constraints, keras.initializers
        first = {"input_shape": (8, 8, 2)} if MAJOR == 2 else {}
        layers = [] if MAJOR == 2 else [keras.Input((8, 8, 2))]
        layers += [
            L.Conv2D(3, 3, kernel_constraint=C.max_norm(2.0) if hasattr(C, "max_norm") else C.MaxNorm(2.0), kernel_initializer="he_normal", bias_initializer=I.Constant(0.1), **first),
            L.Conv2D(3, 3, kernel_regularizer=R.l1_l2(0.1, 0.2) if hasattr(R, "l1_l2") else R.L1L2(0.1, 0.2), kernel_initializer=I.VarianceScaling(2.0, mode="fan_out")),
            L.BatchNormalization(gamma_regularizer="l2", beta_constraint="non_neg"),
            L.Conv2D(2, 1, activity_regularizer="l1", kernel_initializer=I.Orthogonal(), bias_regularizer=R.l2(0.5)),
            L.GaussianNoise(0.1), L.GaussianDropout(0.1), L.ActivityRegularization(0.1),
        ] + ([L.AlphaDropout(0.1)] if has("AlphaDropout") else []) + [
            L.Flatten(), L.Dense(2, kernel_initializer=I.TruncatedNormal(stddev=0.2), kernel_constraint="unit_norm"),
        ]
        return Stack(layers, "options")

    @net
    def names():
        image = L.Input((6, 6, 2), name="the_image" if MAJOR == 3 else "the image")
        x = L.Conv2D(2, 3, name="conv_1.a-b" if MAJOR == 3 else "conv 1.a-b")(image)
        slash = "fire2/squeeze1x1" if not VERSION.startswith("3.") else "fire2_squeeze1x1"
        x = L.Conv2D(2, 1, name=slash)(x)
        x = L.Dense(2, name="dense_17")(L.Flatten(name="flatten-9")(x))
        return Model(image, L.Dense(2, name="dense")(x), "names")

    @net
    def open_sizes():
        image = L.Input((None, None, 3))
        x = L.Conv2D(3, 3, activation="relu", padding="same")(image)
        x = L.MaxPooling2D(2)(x)
        return Model(image, L.Conv2D(2, 1)(x), "open_sizes")

    @net
    def fixed_batch():
        image = L.Input(batch_shape=(BATCH, 6, 6, 2))
        return Model(image, L.GlobalAveragePooling2D()(L.Conv2D(3, 3)(image)), "fixed_batch")

    @net
    def passes_through():
        image = L.Input((5, 5, 2), name="image")
        side = L.Input((3,), name="side")
        x = L.Conv2D(2, 3)(image)
        return Model([image, side], [x, L.Dense(2)(side), L.Flatten()(x)], "passes_through")

    @net
    def several_from_one():
        """A model with several outputs inside another."""
        image = L.Input((8, 8, 2))
        a = L.Conv2D(3, 3, activation="relu", name="c1")(image)
        b = L.Conv2D(4, 3, strides=2, name="c2")(a)
        encoder = Model(image, [b, a], "encoder")
        outer = L.Input((8, 8, 2), name="outer")
        low, high = encoder(outer)
        x = L.Concatenate()([L.GlobalAveragePooling2D()(low), L.GlobalMaxPooling2D()(high)])
        return Model(outer, L.Dense(2)(x), "several_from_one")

    @net
    def merges():
        a, b = L.Input((4, 3), name="a"), L.Input((4, 3), name="b")
        joined = [L.Add()([a, b]), L.Multiply()([a, b]), L.Average()([a, b]), L.Maximum()([a, b]), L.Subtract()([a, b])]
        if has("Minimum"):
            joined.append(L.Minimum()([a, b]))
        x = L.Concatenate(axis=1)(joined)
        matrix = L.Dot(axes=(2, 2))([a, b])
        return Model([a, b], [x, matrix, L.Dot(axes=1)([a, b]), L.Add()([a, a, b])], "merges")

    @net
    def deferred():
        model = keras.models.Sequential([L.Conv2D(3, 3, activation="relu"), L.Flatten(), L.Dense(2)], name="deferred")
        model.build((None, 6, 6, 1))
        return model

    @net
    def masked():
        x = given = L.Input((6, 3))
        x = L.Masking(mask_value=0.0)(x)
        return Model(given, L.Dense(2)(L.Flatten()(L.Dense(3)(x))) if MAJOR == 3 else L.Dense(3)(x), "masked")

    if has("LayerNormalization"):

        @net
        def norms():
            x = image = L.Input((4, 5, 6))
            x = L.LayerNormalization(axis=[1, 2], epsilon=0.01)(x)
            x = L.LayerNormalization()(x)
            if has("GroupNormalization"):
                x = L.GroupNormalization(3)(x)
            if has("UnitNormalization"):
                x = L.UnitNormalization(axis=[-1])(x)
            if has("RMSNormalization"):
                x = L.RMSNormalization(epsilon=0.01)(x)
            if has("Normalization"):
                x = L.Normalization(mean=[0.1] * 6, variance=[0.5] * 6)(x)
            if has("SpectralNormalization"):
                x = L.SpectralNormalization(L.Conv2D(3, 2))(x)
            return Model(image, L.BatchNormalization(axis=2)(x), "norms")

    if has("Resizing"):

        @net
        def pictures():
            image = L.Input((9, 12, 3))
            x = L.Rescaling(1.0 / 127.5, offset=-1)(image)
            x = L.RandomFlip("horizontal")(x)
            x = L.RandomRotation(0.1)(x)
            x = L.RandomZoom(0.2)(x)
            x = L.RandomTranslation(0.1, 0.1)(x)
            x = L.RandomContrast(0.1)(x)
            if has("RandomHue", "RandomErasing", "RandomGrayscale"):
                x = L.RandomErasing(0.5)(L.RandomGrayscale(0.3)(L.RandomHue(0.1, value_range=(0, 1))(x)))
            outputs = [L.Resizing(6, 7)(x), L.Resizing(13, 5, interpolation="nearest")(x), L.CenterCrop(4, 6)(x)]
            outputs += [L.Resizing(7, 20, interpolation="bicubic")(x), L.Resizing(4, 5, interpolation="lanczos3")(x)]
            outputs += [L.Resizing(5, 5, crop_to_aspect_ratio=True)(x), L.UpSampling2D((2, 3), interpolation="bilinear")(x)]
            outputs += [L.UpSampling2D(2, interpolation="bicubic")(x), L.Resizing(20, 21, interpolation="lanczos5")(x)]
            if MAJOR == 3:
                outputs += [L.Resizing(5, 4, antialias=True)(x), L.Resizing(5, 5, pad_to_aspect_ratio=True, fill_value=0.5)(x)]
                outputs += [L.Resizing(4, 4, interpolation="bicubic", antialias=True)(x)]
            return Model(image, outputs, "pictures")

    if MAJOR == 3:

        @net
        def dictionary():
            inputs = {"side": keras.Input((4,), name="side"), "image": keras.Input((6, 6, 2), name="image")}
            x = L.Flatten()(L.Conv2D(2, 3)(inputs["image"]))
            x = L.Concatenate()([x, inputs["side"]])
            return Model(inputs, {"kind": L.Dense(2, name="kind")(x), "age": L.Dense(1, name="age")(x)}, "dictionary")

        @net
        def operations():
            image = keras.Input((6, 6, 2))
            x = image / 2.0
            x = x - 0.25
            x = L.Conv2D(2, 3)(x)
            y = 2.0 * x + 0.5
            y = keras.ops.relu(y)
            y = y + x
            y = y * x
            y = keras.ops.maximum(y, x) - x
            y = keras.activations.tanh(y)
            y = keras.ops.mean(y, axis=[1, 2])
            return Model(image, keras.ops.concatenate([y, y * 3.0], axis=-1), "operations")

        if has("AdaptiveAveragePooling2D"):

            @net
            def adaptive():
                image = keras.Input((7, 9, 2))
                outputs = [L.AdaptiveAveragePooling2D((3, 4))(image), L.AdaptiveMaxPooling2D((2, 5))(image)]
                outputs += [L.AdaptiveAveragePooling1D(4)(L.Reshape((9, 14))(image)), L.AdaptiveMaxPooling1D(3)(L.Reshape((9, 14))(image))]
                return Model(image, outputs, "adaptive")

        @net
        def half():
            keras.config.set_dtype_policy("mixed_float16")
            try:
                model = Stack([keras.Input((6, 6, 2)), L.Conv2D(3, 3, activation="relu"), L.Flatten(), L.Dense(2, dtype="float32")], "half")
            finally:
                keras.config.set_dtype_policy("float32")
            model.tolerance = 2e-3
            return model

        @net
        def short():
            keras.config.set_dtype_policy("bfloat16")
            try:
                model = Stack([keras.Input((6, 6, 2)), L.Conv2D(3, 3, activation="relu"), L.Flatten(), L.Dense(2)], "short")
            finally:
                keras.config.set_dtype_policy("float32")
            model.tolerance = 3e-2
            return model

        def with_optimizer(name, make):
            def build():
                model = Stack([keras.Input((5, 5, 1)), L.Conv2D(2, 3), L.BatchNormalization(), L.Flatten(), L.Dense(2)], name)
                give_weights(model)
                model.compile(make(keras.optimizers), "mse", metrics=["mae"])
                model.fit(fill((4, 5, 5, 1), 3), fill((4, 2), 4), epochs=1, batch_size=2, shuffle=False, verbose=0)
                model.is_done = True
                return model

            NETS[name] = build

        with_optimizer("sgd", lambda o: o.SGD(0.05, momentum=0.9, nesterov=True))
        with_optimizer("rmsprop", lambda o: o.RMSprop(0.01, momentum=0.5, centered=True))
        with_optimizer("adamw", lambda o: o.AdamW(o.schedules.ExponentialDecay(0.01, 2, 0.9)))
        with_optimizer("nadam", lambda o: o.Nadam(0.01))
        with_optimizer("ema", lambda o: o.Adam(0.01, use_ema=True))
        with_optimizer("lion", lambda o: o.Lion(0.01))

    def first_axis():
        """Channels first, where the back end computes so."""
        image = L.Input((2, 9, 8), name="image")
        x = L.Conv2D(4, 3, data_format="channels_first", activation="relu")(image)
        x = L.BatchNormalization(axis=1)(x)
        x = L.MaxPooling2D(2, data_format="channels_first")(x)
        y = L.Conv2D(4, 3, padding="same", data_format="channels_first")(x)
        x = L.Concatenate(axis=1)([x, y])
        x = L.UpSampling2D(2, data_format="channels_first")(x)
        x = L.ZeroPadding2D(1, data_format="channels_first")(x)
        a = L.GlobalAveragePooling2D(data_format="channels_first")(x)
        b = L.Flatten(data_format="channels_first")(L.AveragePooling2D(3, data_format="channels_first")(x))
        return Model(image, [L.Dense(2)(a), L.Dense(2)(b), L.Softmax(axis=1)(y)], "first_axis")

    def stack_first():
        layers = [L.Conv2D(3, 3, data_format="channels_first", input_shape=(2, 8, 8))] if MAJOR == 2 else [
            keras.Input((2, 8, 8)), L.Conv2D(3, 3, data_format="channels_first")]
        layers += [L.LeakyReLU(0.1), L.BatchNormalization(axis=1), L.AveragePooling2D(2, data_format="channels_first"), L.Flatten(), L.Dense(2)]
        return Stack(layers, "stack_first")

    if os.environ.get("CHANNELS_FIRST"):
        NETS = {"first_axis": first_axis, "stack_first": stack_first}


def give_weights(model):
    values = []
    # Before tf.keras the values came by layer, whatever the order of the weights.
    is_old = MAJOR < 3 and keras.__name__ == "keras"
    weights = [w for layer in model.layers for w in layer.weights] if is_old else model.weights
    names = [w.path if hasattr(w, "path") else w.name for w in weights]
    for seed, (value, name) in enumerate(zip(model.get_weights(), names)):
        value = np.asarray(value)
        if value.dtype.kind not in "fV" or value.shape == () or "seed" in name:
            values.append(value)
            continue
        new = fill(value.shape, seed)
        if "variance" in name or "gamma" in name or "running_std" in name:
            new = np.abs(new) + np.float32(0.5)
        values.append(new.astype(value.dtype))
    model.set_weights(values)


def answers(model):
    inputs = []
    has_words = any(type(layer).__name__ == "Embedding" for layer in model.layers)
    shapes = model.input_shape if not isinstance(getattr(model, "input_shape", None), dict) else None
    if shapes is None:
        tensors = model.inputs
        shapes = [tuple(t.shape) for t in tensors]
    shapes = shapes if isinstance(shapes, list) else [shapes]
    for i, shape in enumerate(shapes):
        sizes = tuple(8 if size is None else int(size) for size in shape[1:])
        x = fill((BATCH,) + sizes, 1000 + i)
        inputs.append(np.floor((x + 0.5) * 11).astype("float32") if has_words else x)
    given = inputs if len(inputs) > 1 else inputs[0]
    if isinstance(getattr(model, "_inputs_struct", None), dict):
        given = dict(zip(sorted(model._inputs_struct), inputs))
    outputs = model.predict(given, **({} if MAJOR == 1 else {"batch_size": BATCH, "verbose": 0}))
    if isinstance(outputs, dict):
        outputs = [outputs[key] for key in sorted(outputs)]
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return inputs, [np.asarray(y, dtype="float32") for y in outputs], has_words


def main(tag, folder, wanted):
    os.makedirs(folder, exist_ok=True)
    report = {}
    for name, build in NETS.items():
        if wanted and name not in wanted:
            continue
        try:
            if hasattr(keras.backend, "clear_session"):
                keras.backend.clear_session()
            model = build()
            if not hasattr(model, "is_done"):
                give_weights(model)
            inputs, outputs, has_words = answers(model)
            if not all(np.isfinite(y).all() for y in outputs):
                raise ValueError("its predictions are not finite")
        except Exception as error:  # this Keras cannot
            print("%s: %s cannot: %s %s" % (tag, name, type(error).__name__, str(error)[:300]), file=sys.stderr)
            continue
        files = []
        endings = [".h5", ".weights.h5"]
        if MAJOR == 3:
            endings = [".keras", ".h5", ".weights.h5"]
        elif os.environ.get("KERAS") and tuple(map(int, VERSION.split(".")[:2])) >= (2, 13):
            endings = [".keras", ".h5", ".weights.h5"]
        for ending in endings:
            path = os.path.join(folder, tag + "_" + name + ending)
            try:
                if ending == ".weights.h5":
                    model.save_weights(path)
                else:
                    model.save(path)
            except Exception as error:
                print("%s: %s%s cannot be saved: %s" % (tag, name, ending, str(error)[:200]), file=sys.stderr)
                continue
            with open(path, "rb") as file, open(path + ".gz", "wb") as packed:
                packed.write(gzip.compress(file.read(), 9))
            os.remove(path)
            files.append(os.path.basename(path))
        report[name] = {
            "files": files,
            "words": has_words,
            "open": any(None in tuple(t.shape)[1:] for t in (model.inputs or [])) if MAJOR > 1 else False,
            "tolerance": getattr(model, "tolerance", 1e-5),
            "inputs": [list(x.shape) for x in inputs],
            "outputs": [{"shape": list(y.shape), "values": [float("%.7g" % v) for v in y.ravel()]} for y in outputs],
        }
        if name in ("sgd", "rmsprop", "adamw", "nadam", "ema", "lion", "trained") and MAJOR == 3:
            report[name]["optimizer"] = [[float(v) for v in np.asarray(w).ravel()] for w in model.optimizer.variables]
    text = json.dumps({"keras": VERSION, "networks": report}) + "\n"
    with open(os.path.join(folder, tag + ".json.gz"), "wb") as file:
        file.write(gzip.compress(text.encode(), 9))
    print("%s: keras %s, %d networks" % (tag, VERSION, len(report)))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
