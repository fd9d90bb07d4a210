// One optimizer step on all parameters of a model: weights, gradients and the optimizer's own tensors in one pass. Where they are says a table in
// device memory.

// Elements that a block takes from one parameter at a time.
#define CHUNK 1024

struct Parameter {
    float* weight;
    const float* gradient;
    float* slot[3];
    // Elements, and the number of the first of this parameter's chunks.
    i64 n, chunk;
};

// The numbers of the rule. In device memory, so that a recorded step reads others the next time.
struct Constants {
    float rate, a, b, c, epsilon;
    int flag;
    // What each weight is multiplied by before: weight decay.
    float kept;
    int unused;
};

struct Update {
    const Constants* constants;
    const Parameter* table;
    i64 chunks;
    int count, unused;
};

template <class Rule>
static __device__ __forceinline__ void step_on_all(const Update& u) {
    const Constants k = *u.constants;
    for (i64 chunk = blockIdx.x; chunk < u.chunks; chunk += gridDim.x) {
        // The last parameter whose chunks do not begin later.
        int low = 0, high = u.count - 1;
        while (low < high) {
            int middle = (low + high + 1) / 2;
            if (u.table[middle].chunk <= chunk) low = middle;
            else high = middle - 1;
        }
        const Parameter p = u.table[low];
        i64 first = (chunk - p.chunk) * CHUNK, end = first + CHUNK < p.n ? first + CHUNK : p.n;
        for (i64 i = first + threadIdx.x; i < end; i += blockDim.x) Rule::step(k, p, i);
    }
}

// The weight as the rule finds it: with the bits that a pass over all weights before would give, so the product is rounded by itself.
static __device__ __forceinline__ float decayed(const Constants& u, float w) {
    return u.kept == 1.0f ? w : __fmul_rn(u.kept, w) + 0.0f;
}

// Slot 0 is the momentum, if a is not 0. a: momentum; flag: look ahead along it.
struct Sgd {
    static __device__ __forceinline__ void step(const Constants& u, const Parameter& p, i64 i) {
        float step = u.rate * p.gradient[i];
        float w = decayed(u, p.weight[i]);
        if (u.a == 0.0f) {
            p.weight[i] = w - step;
        } else {
            float m = u.a * p.slot[0][i] - step;
            p.slot[0][i] = m;
            p.weight[i] = w + (u.flag ? u.a * m - step : m);
        }
    }
};

// a: rho, b: 1 - rho, c: momentum; flag: centered. Slots: mean square, then mean if centered, then momentum if there is any.
struct RmsProp {
    static __device__ __forceinline__ void step(const Constants& u, const Parameter& p, i64 i) {
        float g = p.gradient[i], square = u.a * p.slot[0][i] + u.b * g * g;
        p.slot[0][i] = square;
        square += u.epsilon;
        if (u.flag) {
            float mean = u.a * p.slot[1][i] + u.b * g;
            p.slot[1][i] = mean;
            square -= mean * mean;
        }
        float step = u.rate * g / sqrtf(square), w = decayed(u, p.weight[i]);
        if (u.c == 0.0f) {
            p.weight[i] = w - step;
        } else {
            float* momentum = u.flag ? p.slot[2] : p.slot[1];
            float m = u.c * momentum[i] + step;
            momentum[i] = m;
            p.weight[i] = w - m;
        }
    }
};

// a: 1 - beta 1, b: 1 - beta 2; rate holds the correction for the step's number.
struct Adam {
    static __device__ __forceinline__ void step(const Constants& u, const Parameter& p, i64 i) {
        float g = p.gradient[i], m = p.slot[0][i], v = p.slot[1][i];
        m += u.a * (g - m);
        v += u.b * (g * g - v);
        p.slot[0][i] = m;
        p.slot[1][i] = v;
        p.weight[i] = decayed(u, p.weight[i]) - u.rate * m / (sqrtf(v) + u.epsilon);
    }
};

extern "C" __global__ void __launch_bounds__(256) sgd(Update u) { step_on_all<Sgd>(u); }

extern "C" __global__ void __launch_bounds__(256) rms_prop(Update u) { step_on_all<RmsProp>(u); }

extern "C" __global__ void __launch_bounds__(256) adam(Update u) { step_on_all<Adam>(u); }
