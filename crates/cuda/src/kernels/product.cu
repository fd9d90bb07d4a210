// Matrix products and convolutions. A convolution is a matrix product whose operands are looked up instead of written out (implicit GEMM):
//   forward:          (batch * output positions, taps * channels in) times (taps * channels in, channels out)
//   input's gradient: (batch * input positions, taps * channels out) times (taps * channels out, channels in)
//   kernel's gradient: (taps * channels in, batch * output positions) times (batch * output positions, channels out)
// A block of 256 threads makes a tile of 64 x 64 results, each thread 4 x 4 of them. Where too few tiles or too long sums would leave the device idle, the
// sums are cut in parts that a second kernel adds up in order. Groups with few channels each have kernels of their own, one result a thread.

#define TILE 64
#define DEPTH 16
// Rows of shared memory are longer than a tile, so that columns do not fall on one bank.
#define PITCH 68

// Read from shared memory at once.
struct __align__(16) Four {
    float v[4];
};

// Where results go: y[batch or group's base + row * pitch + column].
struct Sink {
    float* y;
    const float* bias;
    i64 pitch, split;
    float p;
    int activation;
};

// Apart, so that the many functions are not copied into each of a thread's results.
static __device__ __noinline__ float apply_any(int activation, float p, float v) { return apply(activation, p, 0.0f, v); }

static __device__ __forceinline__ float finish(const Sink& s, i64 channel, float v) {
    if (s.bias != 0) v += s.bias[channel];
    if (s.activation == ACT_LINEAR) return v;
    if (s.activation == ACT_RELU) return fmaxf(v, 0.0f);
    return apply_any(s.activation, s.p, v);
}

// Which tile, which part of the sums and which batch or group this block has.
struct Task {
    int row, column, part;
    i64 base;
};

static __device__ __forceinline__ Task task_of_block(int m, int n, int parts) {
    int rows = (m + TILE - 1) / TILE, columns = (n + TILE - 1) / TILE;
    i64 b = blockIdx.x;
    Task t;
    t.row = (int)(b % rows) * TILE;
    b /= rows;
    t.column = (int)(b % columns) * TILE;
    b /= columns;
    t.part = (int)(b % parts);
    t.base = b / parts;
    return t;
}

// acc = the products of rows row.. of `a` and columns column.. of `b` over k in first..end.
template <class A, class B>
static __device__ __forceinline__ void multiply(const A& a, const B& b, int row, int column, int m, int n, int first, int end,
                                                int rounding, float (*as)[PITCH], float (*bs)[PITCH], float acc[4][4]) {
    int t = threadIdx.x, r = t / 16 * 4, c = t % 16 * 4;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) acc[i][j] = 0.0f;
    for (int k0 = first; k0 < end; k0 += DEPTH) {
        for (int i = 0; i < 4; i++) {
            int e = t + i * 256;
            // Neighbouring threads read neighbouring memory.
            int mm = a.deep ? e / DEPTH : e % TILE, ka = a.deep ? e % DEPTH : e / TILE;
            int nn = b.deep ? e / DEPTH : e % TILE, kb = b.deep ? e % DEPTH : e / TILE;
            as[ka][mm] = row + mm < m && k0 + ka < end ? rounded(rounding, a.at(row + mm, k0 + ka)) : 0.0f;
            bs[kb][nn] = column + nn < n && k0 + kb < end ? rounded(rounding, b.at(column + nn, k0 + kb)) : 0.0f;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            Four x = *(const Four*)&as[k][r], y = *(const Four*)&bs[k][c];
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++) acc[i][j] += x.v[i] * y.v[j];
        }
        __syncthreads();
    }
}

static __device__ __forceinline__ void write(const Sink& s, i64 base, i64 channel, int row, int column, int m, int n,
                                             const float acc[4][4]) {
    int t = threadIdx.x, r = row + t / 16 * 4, c = column + t % 16 * 4;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            if (r + i < m && c + j < n) s.y[base + (r + i) * s.pitch + c + j] = finish(s, channel + c + j, acc[i][j]);
}

// Shared memory of a block for its pieces of the two operands.
struct Pieces {
    float (*a)[PITCH];
    float (*b)[PITCH];
};

static __device__ __forceinline__ Pieces pieces() {
    __shared__ __align__(16) float as[DEPTH][PITCH], bs[DEPTH][PITCH];
    Pieces p = {as, bs};
    return p;
}

// This block's tile of the product of `a` and `b`, or of its part of the sums. The results of its batch or group begin at y[base], their channels
// at `channel`. G has m, n, k, part, rounding and sink.
template <class G, class A, class B>
static __device__ __forceinline__ void make_tile(const G& g, const Task& t, const A& a, const B& b, i64 base, i64 channel) {
    Pieces p = pieces();
    float acc[4][4];
    int first = t.part * g.part, end = first + g.part < g.k ? first + g.part : g.k;
    multiply(a, b, t.row, t.column, g.m, g.n, first, end, g.rounding, p.a, p.b, acc);
    write(g.sink, t.part * g.sink.split + base, channel, t.row, t.column, g.m, g.n, acc);
}

struct Matrix {
    const float* x;
    i64 across, along;
    bool deep;
    __device__ __forceinline__ float at(int i, int k) const { return x[i * across + k * along]; }
};

struct Matmul {
    const float* a;
    const float* b;
    Sink sink;
    i64 batch, a_batch, b_batch;
    i64 a_row, a_k, b_column, b_k;
    int m, n, k, parts, part, rounding;
};

extern "C" __global__ void __launch_bounds__(256) matmul(Matmul g) {
    Task t = task_of_block(g.m, g.n, g.parts);
    Matrix a = {g.a + t.base * g.a_batch, g.a_row, g.a_k, g.a_k == 1};
    Matrix b = {g.b + t.base * g.b_batch, g.b_column, g.b_k, g.b_k == 1};
    make_tile(g, t, a, b, t.base * g.m * g.n, 0);
}

struct Window {
    int batch, in_channels, out_channels, groups, ins, outs;
    int input[3], kernel[3], output[3], stride[3], dilation[3], pad[3];
};

// (sample, depth, height, width) of a position.
struct At {
    int n, d, h, w;
};

static __device__ __forceinline__ At position(int i, const int size[3]) {
    At p;
    int q = i / size[2];
    p.w = i - q * size[2];
    i = q / size[1];
    p.h = q - i * size[1];
    p.n = i / size[0];
    p.d = i - p.n * size[0];
    return p;
}

// Where output position p under tap t lies in the input: the index of its first channel, or -1 on padding.
static __device__ __forceinline__ i64 seen(const Window& w, const At& p, int t) {
    At tap = position(t, w.kernel);
    int d = p.d * w.stride[0] + tap.d * w.dilation[0] - w.pad[0];
    int h = p.h * w.stride[1] + tap.h * w.dilation[1] - w.pad[1];
    int v = p.w * w.stride[2] + tap.w * w.dilation[2] - w.pad[2];
    bool in = d >= 0 && d < w.input[0] && h >= 0 && h < w.input[1] && v >= 0 && v < w.input[2];
    return in ? ((((i64)p.n * w.input[0] + d) * w.input[1] + h) * w.input[2] + v) * w.in_channels : -1;
}

// The output position that sees input position p under tap t: the index of its first channel, or -1.
static __device__ __forceinline__ i64 seeing(const Window& w, const At& p, int t) {
    At tap = position(t, w.kernel);
    int d = p.d + w.pad[0] - tap.d * w.dilation[0], h = p.h + w.pad[1] - tap.h * w.dilation[1];
    int v = p.w + w.pad[2] - tap.w * w.dilation[2];
    if (d < 0 || h < 0 || v < 0) return -1;
    int od = d / w.stride[0], oh = h / w.stride[1], ow = v / w.stride[2];
    bool in = od * w.stride[0] == d && oh * w.stride[1] == h && ow * w.stride[2] == v && od < w.output[0] &&
              oh < w.output[1] && ow < w.output[2];
    return in ? ((((i64)p.n * w.output[0] + od) * w.output[1] + oh) * w.output[2] + ow) * w.out_channels : -1;
}

struct Conv {
    const float* x;
    const float* kernel;
    const float* dy;
    Sink sink;
    Window w;
    int m, n, k, parts, part, rounding;
};

// x as a matrix of (output position, tap and channel).
struct Patches {
    const float* x;
    const Window& w;
    bool deep;
    __device__ __forceinline__ float at(int i, int k) const {
        int tap = k / w.ins;
        i64 from = seen(w, position(i, w.output), tap);
        return from < 0 ? 0.0f : x[from + k - tap * w.ins];
    }
};

// A matrix with rows and columns exchanged.
template <class A>
struct Turned {
    A of;
    bool deep;
    __device__ __forceinline__ float at(int i, int k) const { return of.at(k, i); }
};

// dy as a matrix of (input position, tap and channel).
struct Spread {
    const float* dy;
    const Window& w;
    bool deep;
    __device__ __forceinline__ float at(int i, int k) const {
        int tap = k / w.outs;
        i64 from = seeing(w, position(i, w.input), tap);
        return from < 0 ? 0.0f : dy[from + k - tap * w.outs];
    }
};

// The kernel as a matrix of (tap and channel out, channel in).
struct Mirrored {
    const float* kernel;
    const Window& w;
    bool deep;
    __device__ __forceinline__ float at(int channel, int k) const {
        int tap = k / w.outs;
        return kernel[((i64)tap * w.ins + channel) * w.out_channels + k - tap * w.outs];
    }
};

extern "C" __global__ void __launch_bounds__(256) conv_forward(Conv g) {
    Task t = task_of_block(g.m, g.n, g.parts);
    Patches a = {g.x + t.base * g.w.ins, g.w, true};
    Matrix b = {g.kernel + t.base * g.w.outs, 1, g.w.out_channels, false};
    make_tile(g, t, a, b, t.base * g.w.outs, t.base * g.w.outs);
}

extern "C" __global__ void __launch_bounds__(256) conv_input(Conv g) {
    Task t = task_of_block(g.m, g.n, g.parts);
    Spread a = {g.dy + t.base * g.w.outs, g.w, true};
    Mirrored b = {g.kernel + t.base * g.w.outs, g.w, true};
    make_tile(g, t, a, b, t.base * g.w.ins, 0);
}

extern "C" __global__ void __launch_bounds__(256) conv_kernel(Conv g) {
    Task t = task_of_block(g.m, g.n, g.parts);
    Turned<Patches> a = {{g.x + t.base * g.w.ins, g.w, true}, false};
    Matrix b = {g.dy + t.base * g.w.outs, 1, g.w.out_channels, false};
    make_tile(g, t, a, b, t.base * g.w.outs, 0);
}

// Few channels a group: one result a thread; neighbouring threads have neighbouring channels.

extern "C" __global__ void __launch_bounds__(256) conv_forward_thin(Conv g) {
    int taps = g.w.kernel[0] * g.w.kernel[1] * g.w.kernel[2];
    i64 total = (i64)g.m * g.w.out_channels;
    for (i64 i = thread_of_grid(); i < total; i += threads_of_grid()) {
        int channel = (int)(i % g.w.out_channels), group = channel / g.w.outs;
        At p = position((int)(i / g.w.out_channels), g.w.output);
        float sum = 0.0f;
        for (int tap = 0; tap < taps; tap++) {
            i64 from = seen(g.w, p, tap);
            if (from < 0) continue;
            for (int c = 0; c < g.w.ins; c++) {
                sum += rounded(g.rounding, g.x[from + group * g.w.ins + c]) *
                       rounded(g.rounding, g.kernel[((i64)tap * g.w.ins + c) * g.w.out_channels + channel]);
            }
        }
        g.sink.y[i] = finish(g.sink, channel, sum);
    }
}

extern "C" __global__ void __launch_bounds__(256) conv_input_thin(Conv g) {
    int taps = g.w.kernel[0] * g.w.kernel[1] * g.w.kernel[2];
    i64 total = (i64)g.m * g.w.in_channels;
    for (i64 i = thread_of_grid(); i < total; i += threads_of_grid()) {
        int channel = (int)(i % g.w.in_channels), group = channel / g.w.ins, c = channel - group * g.w.ins;
        At p = position((int)(i / g.w.in_channels), g.w.input);
        float sum = 0.0f;
        for (int tap = 0; tap < taps; tap++) {
            i64 from = seeing(g.w, p, tap);
            if (from < 0) continue;
            from += group * g.w.outs;
            i64 kernel = ((i64)tap * g.w.ins + c) * g.w.out_channels + group * g.w.outs;
            for (int o = 0; o < g.w.outs; o++) sum += rounded(g.rounding, g.dy[from + o]) * rounded(g.rounding, g.kernel[kernel + o]);
        }
        g.sink.y[i] = sum;
    }
}

// The positions are cut in g.parts parts.
extern "C" __global__ void __launch_bounds__(256) conv_kernel_thin(Conv g) {
    i64 each = (i64)g.m * g.w.out_channels, total = each * g.parts;
    for (i64 i = thread_of_grid(); i < total; i += threads_of_grid()) {
        i64 part = i / each, e = i - part * each;
        int channel = (int)(e % g.w.out_channels), group = channel / g.w.outs;
        int row = (int)(e / g.w.out_channels), tap = row / g.w.ins, c = row - tap * g.w.ins;
        i64 first = part * g.part, end = first + g.part < g.k ? first + g.part : g.k;
        float sum = 0.0f;
        for (i64 p = first; p < end; p++) {
            i64 from = seen(g.w, position((int)p, g.w.output), tap);
            if (from < 0) continue;
            sum += rounded(g.rounding, g.x[from + group * g.w.ins + c]) * rounded(g.rounding, g.dy[p * g.w.out_channels + channel]);
        }
        g.sink.y[part * g.sink.split + e] = sum;
    }
}

// Adds up the parts of cut sums, in order, and finishes them.
struct Join {
    const float* parts;
    Sink sink;
    i64 n, channels;
    int count, unused;
};

extern "C" __global__ void __launch_bounds__(256) join_parts(Join g) {
    for (i64 i = thread_of_grid(); i < g.n; i += threads_of_grid()) {
        float sum = 0.0f;
        for (int part = 0; part < g.count; part++) sum += g.parts[part * g.n + i];
        g.sink.y[i] = finish(g.sink, i % g.channels, sum);
    }
}
