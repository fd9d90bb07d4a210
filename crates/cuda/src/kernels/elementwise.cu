// Functions of single elements, of two with broadcasting, and dropout.

struct Unary {
    const float* x;
    const float* dy;
    float* y;
    i64 n;
    float p, q;
    int op, unused;
};

// The slope, from the output where UnaryOp::slope_from_output says so, else from the input.
static __device__ float slope(int op, float p, float q, float v) {
    switch (op) {
        case OP_NEG: return -1.0f;
        case OP_ABS: return v == 0.0f ? 0.0f : copysignf(1.0f, v);
        case OP_SQUARE: return 2.0f * v;
        case OP_SQRT: return 0.5f / v;
        case OP_RECIPROCAL: return -v * v;
        case OP_EXP:
        case ACT_EXPONENTIAL: return v;
        case OP_LOG: return 1.0f / v;
        case OP_AFFINE: return p;
        case OP_CLIP: return v >= p && v <= q ? 1.0f : 0.0f;
        case ACT_RELU: return v > 0.0f ? 1.0f : 0.0f;
        case ACT_RELU6: return v > 0.0f && v < 6.0f ? 1.0f : 0.0f;
        case ACT_LEAKY_RELU: return v > 0.0f ? 1.0f : p;
        case ACT_ELU: return v > 0.0f ? 1.0f : p >= 0.0f ? v + p : p * expf(v);
        case ACT_SELU: return v > 0.0f ? SELU_SCALE : v + SELU_SCALE * SELU_ALPHA;
        case ACT_SIGMOID: return v * (1.0f - v);
        case ACT_HARD_SIGMOID: return v > 0.0f && v < 1.0f ? 1.0f / 6.0f : 0.0f;
        case ACT_TANH: return 1.0f - v * v;
        case ACT_SOFTSIGN: return (1.0f - fabsf(v)) * (1.0f - fabsf(v));
        case ACT_SOFTPLUS: return -expm1f(-v);
        case ACT_SILU: {
            float s = sigmoid(v);
            return s * (1.0f + v * (1.0f - s));
        }
        case ACT_GELU: return normal_cdf(v) + v * expf(-0.5f * v * v) * INVERSE_SQRT_2_PI;
        case ACT_GELU_TANH: {
            float t = tanhf(gelu_inner(v));
            float inner = SQRT_2_OVER_PI * (1.0f + 3.0f * 0.044715f * v * v);
            return 0.5f * (1.0f + t) + 0.5f * v * (1.0f - t * t) * inner;
        }
        default: return 1.0f;
    }
}

extern "C" __global__ void __launch_bounds__(256) unary(Unary a) {
    for (i64 i = thread_of_grid(); i < a.n; i += threads_of_grid()) a.y[i] = apply(a.op, a.p, a.q, a.x[i]);
}

extern "C" __global__ void __launch_bounds__(256) unary_backward(Unary a) {
    for (i64 i = thread_of_grid(); i < a.n; i += threads_of_grid()) a.y[i] = a.dy[i] * slope(a.op, a.p, a.q, a.x[i]);
}

struct Binary {
    const float* a;
    const float* b;
    float* y;
    i64 n;
    i64 size[AXES], of_a[AXES], of_b[AXES];
    int rank, op;
};

static __device__ __forceinline__ float combine(int op, float a, float b) {
    switch (op) {
        case 0: return a + b;
        case 1: return a - b;
        case 2: return a * b;
        case 3: return a / b;
        case 4: return a >= b ? a : b;
        case 5: return a <= b ? a : b;
        case 6: return a > b ? 1.0f : 0.0f;
        case 7: return a >= b ? 1.0f : 0.0f;
        default: return a == b ? 1.0f : 0.0f;
    }
}

extern "C" __global__ void __launch_bounds__(256) binary(Binary a) {
    for (i64 i = thread_of_grid(); i < a.n; i += threads_of_grid()) {
        i64 rest = i, of_a = 0, of_b = 0;
        for (int axis = a.rank - 1; axis > 0; axis--) {
            i64 next = rest / a.size[axis], index = rest - next * a.size[axis];
            of_a += index * a.of_a[axis];
            of_b += index * a.of_b[axis];
            rest = next;
        }
        // The first axis needs no division: what is left is its index.
        of_a += rest * a.of_a[0];
        of_b += rest * a.of_b[0];
        a.y[i] = combine(a.op, a.a[of_a], a.b[of_b]);
    }
}

struct Dropout {
    const float* x;
    float* y;
    // Where the key is, if it is another one each time that recorded work is done.
    const u32* key;
    i64 n;
    u32 key0, key1, threshold;
    float factor;
};

// Philox-4x32-10: the very words of Key::block, so the very elements that every other back end drops.
static __device__ void philox(u64 index, u32 key0, u32 key1, u32 out[4]) {
    u32 c0 = (u32)index, c1 = (u32)(index >> 32), c2 = 0, c3 = 0;
    for (int round = 0; round < 10; round++) {
        u32 high_a = __umulhi(0xD2511F53u, c0), low_a = 0xD2511F53u * c0;
        u32 high_b = __umulhi(0xCD9E8D57u, c2), low_b = 0xCD9E8D57u * c2;
        c0 = high_b ^ c1 ^ key0;
        c1 = low_b;
        c2 = high_a ^ c3 ^ key1;
        c3 = low_a;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

extern "C" __global__ void __launch_bounds__(256) dropout(Dropout a) {
    i64 blocks = (a.n + 3) / 4;
    u32 key0 = a.key != 0 ? a.key[0] : a.key0, key1 = a.key != 0 ? a.key[1] : a.key1;
    for (i64 b = thread_of_grid(); b < blocks; b += threads_of_grid()) {
        u32 word[4];
        philox((u64)b, key0, key1, word);
        for (int j = 0; j < 4; j++) {
            i64 i = 4 * b + j;
            if (i < a.n) a.y[i] = word[j] >= a.threshold ? a.x[i] * a.factor : 0.0f;
        }
    }
}
