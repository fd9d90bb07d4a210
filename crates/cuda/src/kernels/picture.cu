// Pictures of bytes seen through matrices, as numbers. The same positions in 30 binary places and the same roundings as on the CPU
// (augment/resample.rs), so the same bits: no product is joined with a sum here.

#define PLACES 30

struct View {
    double x[3], y[3];
    int flip_horizontal, flip_vertical;
};

struct Resample {
    const u8* pictures;
    const View* views;
    float* y;
    i64 n;
    int height, width, channels, border;
    float constant, scale;
};

// The codes are those of picture.rs.
enum { BORDER_NEAREST = 0, BORDER_CONSTANT, BORDER_REFLECT, BORDER_WRAP };

static __device__ __forceinline__ i64 fixed(double value, double largest) {
    value = value < -largest ? -largest : value > largest ? largest : value;
    return (i64)__dmul_rn(value, (double)(1u << PLACES));
}

// Mirrors at -0.5 and n - 0.5.
static __device__ double reflected(double at, double n) {
    double period = __dmul_rn(2.0, n);
    if (at < 0.0) {
        if (at < -period) at = __dadd_rn(at, __dmul_rn(period, trunc(-at / period)));
        return at < -n ? __dadd_rn(at, period) : __dadd_rn(-at, -1.0);
    }
    at = __dadd_rn(at, -__dmul_rn(period, trunc(at / period)));
    return at >= n ? __dadd_rn(__dadd_rn(period, -at), -1.0) : at;
}

// The position that stands for `at` on a side of n pixels; false where the constant does.
static __device__ bool inside(int border, double at, int n, double* position) {
    double last = (double)(n - 1);
    *position = at;
    if (at >= 0.0 && at <= last) return true;
    if (border == BORDER_CONSTANT) return false;
    if (border == BORDER_NEAREST) *position = at < 0.0 ? 0.0 : last;
    else if (n == 1) *position = 0.0;
    else if (border == BORDER_REFLECT) *position = reflected(at, (double)n);
    else if (at < 0.0) *position = __dadd_rn(at, __dmul_rn(last, __dadd_rn(trunc(-at / last), 1.0)));
    else *position = __dadd_rn(at, -__dmul_rn(last, trunc(at / last)));
    return true;
}

// Two neighbours along a side and the second one's share.
struct Near {
    int low, high;
    float share;
};

static __device__ __forceinline__ Near near_fixed(i64 p, int n) {
    Near a;
    a.low = (int)(p >> PLACES);
    a.high = a.low + 1 < n ? a.low + 1 : n - 1;
    a.share = __fmul_rn((float)(int)(p & ((1 << PLACES) - 1)), 1.0f / (float)(1u << PLACES));
    return a;
}

static __device__ __forceinline__ int clamped(double i, int n) { return i < 0.0 ? 0 : i > (double)(n - 1) ? n - 1 : (int)i; }

static __device__ Near near_position(double at, int n) {
    double low = floor(at);
    Near a = {clamped(low, n), clamped(__dadd_rn(low, 1.0), n), (float)__dadd_rn(at, -low)};
    return a;
}

static __device__ __forceinline__ float between(float a, float b, float share) {
    return __fadd_rn(a, __fmul_rn(share, __fadd_rn(b, -a)));
}

extern "C" __global__ void __launch_bounds__(256) resample(Resample g) {
    i64 area = (i64)g.height * g.width;
    for (i64 i = thread_of_grid(); i < g.n; i += threads_of_grid()) {
        i64 picture = i / area;
        int row = (int)((i - picture * area) / g.width), column = (int)(i - picture * area - (i64)row * g.width);
        const View& view = g.views[picture];
        int u = view.flip_horizontal ? g.width - 1 - column : column, v = view.flip_vertical ? g.height - 1 - row : row;
        double start_x = __dadd_rn(view.x[2], __dmul_rn((double)v, view.x[1]));
        double start_y = __dadd_rn(view.y[2], __dmul_rn((double)v, view.y[1]));
        i64 x = fixed(start_x, 1073741824.0) + u * fixed(view.x[0], 65536.0);
        i64 y = fixed(start_y, 1073741824.0) + u * fixed(view.y[0], 65536.0);
        i64 right = (i64)(g.width - 1) << PLACES, bottom = (i64)(g.height - 1) << PLACES;
        if (g.border == BORDER_NEAREST) {
            x = x < 0 ? 0 : x > right ? right : x;
            y = y < 0 ? 0 : y > bottom ? bottom : y;
        }
        Near columns, rows;
        bool seen = true;
        if (x >= 0 && x <= right && y >= 0 && y <= bottom) {
            columns = near_fixed(x, g.width);
            rows = near_fixed(y, g.height);
        } else {
            double px, py;
            seen = inside(g.border, __dadd_rn(start_x, __dmul_rn((double)u, view.x[0])), g.width, &px) &&
                   inside(g.border, __dadd_rn(start_y, __dmul_rn((double)u, view.y[0])), g.height, &py);
            columns = near_position(seen ? px : 0.0, g.width);
            rows = near_position(seen ? py : 0.0, g.height);
        }
        const u8* from = g.pictures + picture * area * g.channels;
        const u8* upper = from + (i64)rows.low * g.width * g.channels;
        const u8* lower = from + (i64)rows.high * g.width * g.channels;
        for (int c = 0; c < g.channels; c++) {
            int left = columns.low * g.channels + c, beside = columns.high * g.channels + c;
            float above = between((float)upper[left], (float)upper[beside], columns.share);
            float below = between((float)lower[left], (float)lower[beside], columns.share);
            float value = seen ? between(above, below, rows.share) : g.constant;
            g.y[i * g.channels + c] = g.scale == 1.0f ? value : __fmul_rn(value, g.scale);
        }
    }
}
