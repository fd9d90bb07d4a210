// Functions of single elements. The codes are those of elementwise.rs.

#define SELU_ALPHA 1.6732632423543772f
#define SELU_SCALE 1.0507009873554805f
#define SQRT_2_OVER_PI 0.7978845608028654f
#define SQRT_HALF 0.7071067811865476f
#define INVERSE_SQRT_2_PI 0.3989422804014327f

enum {
    OP_NEG = 0, OP_ABS, OP_SQUARE, OP_SQRT, OP_RECIPROCAL, OP_EXP, OP_LOG, OP_AFFINE, OP_CLIP,
    ACT_LINEAR = 32, ACT_RELU, ACT_RELU6, ACT_LEAKY_RELU, ACT_ELU, ACT_SELU, ACT_SIGMOID, ACT_HARD_SIGMOID, ACT_TANH,
    ACT_EXPONENTIAL, ACT_SOFTSIGN, ACT_SOFTPLUS, ACT_SILU, ACT_GELU, ACT_GELU_TANH
};

static __device__ __forceinline__ float sigmoid(float x) {
    // e^-x overflows to infinity for very negative x, and the quotient is then 0 as it should be.
    return 1.0f / (1.0f + expf(-x));
}

static __device__ __forceinline__ float normal_cdf(float x) {
    return 0.5f * erfcf(-x * SQRT_HALF);
}

static __device__ __forceinline__ float gelu_inner(float x) {
    return SQRT_2_OVER_PI * (x + 0.044715f * x * x * x);
}

static __device__ float apply(int op, float p, float q, float x) {
    switch (op) {
        case OP_NEG: return -x;
        case OP_ABS: return fabsf(x);
        case OP_SQUARE: return x * x;
        case OP_SQRT: return sqrtf(x);
        case OP_RECIPROCAL: return 1.0f / x;
        case OP_EXP:
        case ACT_EXPONENTIAL: return expf(x);
        case OP_LOG: return logf(x);
        case OP_AFFINE: return x * p + q;
        case OP_CLIP: return fminf(fmaxf(x, p), q);
        case ACT_RELU: return fmaxf(x, 0.0f);
        case ACT_RELU6: return x != x ? x : fminf(fmaxf(x, 0.0f), 6.0f);
        case ACT_LEAKY_RELU: return x > 0.0f ? x : p * x;
        case ACT_ELU: return x > 0.0f ? x : p * expm1f(x);
        case ACT_SELU: return SELU_SCALE * (x > 0.0f ? x : SELU_ALPHA * expm1f(x));
        case ACT_SIGMOID: return sigmoid(x);
        case ACT_HARD_SIGMOID: return x != x ? x : fminf(fmaxf(x / 6.0f + 0.5f, 0.0f), 1.0f);
        case ACT_TANH: return tanhf(x);
        case ACT_SOFTSIGN: return x / (1.0f + fabsf(x));
        case ACT_SOFTPLUS: return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)));
        case ACT_SILU: return x * sigmoid(x);
        case ACT_GELU: return x * normal_cdf(x);
        case ACT_GELU_TANH: return 0.5f * x * (1.0f + tanhf(gelu_inner(x)));
        default: return x;
    }
}
