// Reductions of (outer, n, inner) along n, in pieces of `piece`: y is (outer, pieces, inner), reduced again until one piece is left.

enum { REDUCE_SUM = 0, REDUCE_MAX, REDUCE_MIN };

struct Reduce {
    const float* x;
    float* y;
    i64 outer, n, inner, piece, pieces;
    float divisor;
    int op;
};

static __device__ __forceinline__ float join(int op, float a, float b) {
    return op == REDUCE_SUM ? a + b : op == REDUCE_MAX ? fmaxf(a, b) : fminf(a, b);
}

static __device__ __forceinline__ float nothing(int op) {
    return op == REDUCE_SUM ? 0.0f : op == REDUCE_MAX ? MINUS_INFINITY : PLUS_INFINITY;
}

// A thread for each result.
extern "C" __global__ void __launch_bounds__(256) reduce_serial(Reduce a) {
    i64 total = a.outer * a.pieces * a.inner;
    for (i64 i = thread_of_grid(); i < total; i += threads_of_grid()) {
        i64 above = i / a.inner, inner = i - above * a.inner;
        i64 outer = above / a.pieces, first = (above - outer * a.pieces) * a.piece;
        i64 end = first + a.piece < a.n ? first + a.piece : a.n;
        const float* x = a.x + outer * a.n * a.inner + inner;
        float v = nothing(a.op);
        for (i64 r = first; r < end; r++) v = join(a.op, v, x[r * a.inner]);
        a.y[i] = v / a.divisor;
    }
}

// A block for each result.
extern "C" __global__ void __launch_bounds__(128) reduce_block(Reduce a) {
    __shared__ float of_warp[4];
    i64 total = a.outer * a.pieces * a.inner;
    for (i64 i = blockIdx.x; i < total; i += gridDim.x) {
        i64 above = i / a.inner, inner = i - above * a.inner;
        i64 outer = above / a.pieces, first = (above - outer * a.pieces) * a.piece;
        i64 end = first + a.piece < a.n ? first + a.piece : a.n;
        const float* x = a.x + outer * a.n * a.inner + inner;
        float v = nothing(a.op);
        for (i64 r = first + threadIdx.x; r < end; r += 128) v = join(a.op, v, x[r * a.inner]);
        for (int offset = 16; offset > 0; offset /= 2) v = join(a.op, v, __shfl_xor_sync(FULL_WARP, v, offset));
        if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = v;
        __syncthreads();
        if (threadIdx.x == 0) {
            for (int w = 1; w < 4; w++) v = join(a.op, v, of_warp[w]);
            a.y[i] = v / a.divisor;
        }
        __syncthreads();
    }
}

struct Argmax {
    const float* x;
    int* y;
    i64 rows, n;
};

// A warp for each row. The first of equal elements wins; a first element that is no number is never beaten, as in a plain loop.
extern "C" __global__ void __launch_bounds__(128) argmax(Argmax a) {
    i64 warps = threads_of_grid() / 32;
    int lane = threadIdx.x % 32;
    for (i64 row = thread_of_grid() / 32; row < a.rows; row += warps) {
        const float* x = a.x + row * a.n;
        float best = x[0];
        int place = 0;
        bool stuck = best != best;
        for (i64 i = lane; i < a.n; i += 32) {
            if (x[i] > best) {
                best = x[i];
                place = (int)i;
            }
        }
        for (int offset = 16; offset > 0; offset /= 2) {
            float other = __shfl_xor_sync(FULL_WARP, best, offset);
            int other_place = __shfl_xor_sync(FULL_WARP, place, offset);
            if (other > best || (other == best && other_place < place)) {
                best = other;
                place = other_place;
            }
        }
        if (lane == 0) a.y[row] = stuck ? 0 : place;
    }
}
