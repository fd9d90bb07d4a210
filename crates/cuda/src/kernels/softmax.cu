// Softmax along rows, its gradient, and the cross-entropy on top of it: a warp for each row.

struct Softmax {
    const float* x;
    const float* t;
    float* y;
    float* loss;
    i64 rows, n;
};

static __device__ __forceinline__ float warp_sum(float v) {
    for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(FULL_WARP, v, offset);
    return v;
}

static __device__ __forceinline__ float warp_max(float v) {
    for (int offset = 16; offset > 0; offset /= 2) v = fmaxf(v, __shfl_xor_sync(FULL_WARP, v, offset));
    return v;
}

static __device__ __forceinline__ float row_max(const float* x, i64 n, int lane) {
    float v = MINUS_INFINITY;
    for (i64 i = lane; i < n; i += 32) v = fmaxf(v, x[i]);
    return warp_max(v);
}

static __device__ __forceinline__ float row_exp_sum(const float* x, i64 n, int lane, float max) {
    float v = 0.0f;
    for (i64 i = lane; i < n; i += 32) v += expf(x[i] - max);
    return warp_sum(v);
}

extern "C" __global__ void __launch_bounds__(128) softmax(Softmax a) {
    i64 warps = threads_of_grid() / 32;
    int lane = threadIdx.x % 32;
    for (i64 row = thread_of_grid() / 32; row < a.rows; row += warps) {
        const float* x = a.x + row * a.n;
        float max = row_max(x, a.n, lane), scale = 1.0f / row_exp_sum(x, a.n, lane, max);
        for (i64 i = lane; i < a.n; i += 32) a.y[row * a.n + i] = expf(x[i] - max) * scale;
    }
}

// a.x is softmax's output, a.t the gradient of it, a.y the gradient of its input.
extern "C" __global__ void __launch_bounds__(128) softmax_backward(Softmax a) {
    i64 warps = threads_of_grid() / 32;
    int lane = threadIdx.x % 32;
    for (i64 row = thread_of_grid() / 32; row < a.rows; row += warps) {
        const float* y = a.x + row * a.n;
        const float* dy = a.t + row * a.n;
        float sum = 0.0f;
        for (i64 i = lane; i < a.n; i += 32) sum += y[i] * dy[i];
        sum = warp_sum(sum);
        for (i64 i = lane; i < a.n; i += 32) a.y[row * a.n + i] = y[i] * (dy[i] - sum);
    }
}

extern "C" __global__ void __launch_bounds__(128) softmax_crossentropy(Softmax a) {
    i64 warps = threads_of_grid() / 32;
    int lane = threadIdx.x % 32;
    for (i64 row = thread_of_grid() / 32; row < a.rows; row += warps) {
        const float* x = a.x + row * a.n;
        const float* t = a.t + row * a.n;
        float max = row_max(x, a.n, lane), sum = row_exp_sum(x, a.n, lane, max), log_sum = logf(sum), loss = 0.0f;
        float scale = 1.0f / sum;
        for (i64 i = lane; i < a.n; i += 32) {
            a.y[row * a.n + i] = expf(x[i] - max) * scale;
            // A target of zero adds nothing, even where the logarithm is minus infinity.
            if (t[i] != 0.0f) loss -= t[i] * (x[i] - max - log_sum);
        }
        loss = warp_sum(loss);
        if (lane == 0) a.loss[row] = loss;
    }
}
