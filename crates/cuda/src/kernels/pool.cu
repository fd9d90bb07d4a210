// Pooling. A thread for each result, forward and backward: nothing is added in a race.

enum { POOL_MAX = 0, POOL_AVERAGE };

struct Pool {
    const float* x;
    float* y;
    void* indices;
    i64 n;
    i64 batch, channels;
    i64 input[3], window[3], output[3], stride[3], pad[3];
    int kind, wide;
};

struct Place {
    i64 sample, at[3], channel;
};

static __device__ Place decode(i64 i, i64 channels, const i64 size[3]) {
    Place p;
    i64 rest = i / channels;
    p.channel = i - rest * channels;
    for (int axis = 2; axis >= 0; axis--) {
        i64 next = rest / size[axis];
        p.at[axis] = rest - next * size[axis];
        rest = next;
    }
    p.sample = rest;
    return p;
}

// The first tap of window `at` that lies inside, and one past the last.
static __device__ void inside(const Pool& a, int axis, i64 at, i64& first, i64& end) {
    i64 start = at * a.stride[axis] - a.pad[axis];
    first = start < 0 ? -start : 0;
    end = a.input[axis] - start < a.window[axis] ? a.input[axis] - start : a.window[axis];
}

extern "C" __global__ void __launch_bounds__(256) pool(Pool a) {
    for (i64 i = thread_of_grid(); i < a.n; i += threads_of_grid()) {
        Place p = decode(i, a.channels, a.output);
        i64 first[3], end[3];
        for (int axis = 0; axis < 3; axis++) inside(a, axis, p.at[axis], first[axis], end[axis]);
        float v = 0.0f;
        i64 winner = 0, count = 0;
        for (i64 d = first[0]; d < end[0]; d++) {
            for (i64 h = first[1]; h < end[1]; h++) {
                for (i64 w = first[2]; w < end[2]; w++) {
                    i64 id = p.at[0] * a.stride[0] - a.pad[0] + d, ih = p.at[1] * a.stride[1] - a.pad[1] + h;
                    i64 iw = p.at[2] * a.stride[2] - a.pad[2] + w;
                    float x = a.x[(((p.sample * a.input[0] + id) * a.input[1] + ih) * a.input[2] + iw) * a.channels + p.channel];
                    if (a.kind == POOL_AVERAGE) {
                        v += x;
                    } else if (count == 0 || x > v) {
                        v = x;
                        winner = (d * a.window[1] + h) * a.window[2] + w;
                    }
                    count++;
                }
            }
        }
        a.y[i] = a.kind == POOL_AVERAGE ? v / (float)count : v;
        if (a.indices != 0) {
            if (a.wide) ((int*)a.indices)[i] = (int)winner;
            else ((u8*)a.indices)[i] = (u8)winner;
        }
    }
}

// a.x is the gradient of the output, a.y that of the input; each input looks at the windows that cover it.
extern "C" __global__ void __launch_bounds__(256) pool_backward(Pool a) {
    for (i64 i = thread_of_grid(); i < a.n; i += threads_of_grid()) {
        Place p = decode(i, a.channels, a.input);
        i64 low[3], high[3];
        for (int axis = 0; axis < 3; axis++) {
            i64 at = p.at[axis] + a.pad[axis], most = at / a.stride[axis];
            low[axis] = at < a.window[axis] ? 0 : (at - a.window[axis]) / a.stride[axis] + 1;
            high[axis] = most < a.output[axis] - 1 ? most : a.output[axis] - 1;
        }
        float sum = 0.0f;
        for (i64 d = low[0]; d <= high[0]; d++) {
            for (i64 h = low[1]; h <= high[1]; h++) {
                for (i64 w = low[2]; w <= high[2]; w++) {
                    i64 o = (((p.sample * a.output[0] + d) * a.output[1] + h) * a.output[2] + w) * a.channels + p.channel;
                    if (a.kind == POOL_AVERAGE) {
                        i64 at[3] = {d, h, w}, count = 1;
                        for (int axis = 0; axis < 3; axis++) {
                            i64 first, end;
                            inside(a, axis, at[axis], first, end);
                            count *= end - first;
                        }
                        sum += a.x[o] / (float)count;
                    } else {
                        i64 td = p.at[0] + a.pad[0] - d * a.stride[0], th = p.at[1] + a.pad[1] - h * a.stride[1];
                        i64 tw = p.at[2] + a.pad[2] - w * a.stride[2], tap = (td * a.window[1] + th) * a.window[2] + tw;
                        i64 winner = a.wide ? ((const int*)a.indices)[o] : ((const u8*)a.indices)[o];
                        if (winner == tap) sum += a.x[o];
                    }
                }
            }
        }
        a.y[i] = sum;
    }
}
