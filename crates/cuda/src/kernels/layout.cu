// Elements are moved, never changed: one kernel for each size of an element.

// Every element of a box from one strided place to another.
struct Copy {
    const void* x;
    void* y;
    i64 n;
    i64 size[AXES], from[AXES], to[AXES];
    int rank, unused;
};

template <class T>
static __device__ void copy_box(const Copy& a) {
    for (i64 i = thread_of_grid(); i < a.n; i += threads_of_grid()) {
        i64 rest = i, from = 0, to = 0;
#pragma unroll 1
        for (int axis = a.rank - 1; axis >= 0; axis--) {
            i64 next = rest / a.size[axis], index = rest - next * a.size[axis];
            from += index * a.from[axis];
            to += index * a.to[axis];
            rest = next;
        }
        ((T*)a.y)[to] = ((const T*)a.x)[from];
    }
}

extern "C" __global__ void __launch_bounds__(256) copy1(Copy a) { copy_box<u8>(a); }
extern "C" __global__ void __launch_bounds__(256) copy2(Copy a) { copy_box<u16>(a); }
extern "C" __global__ void __launch_bounds__(256) copy4(Copy a) { copy_box<u32>(a); }
extern "C" __global__ void __launch_bounds__(256) copy8(Copy a) { copy_box<u64>(a); }

// Rows in the order of `rows`.
struct Gather {
    const void* x;
    void* y;
    const i64* rows;
    i64 n, row;
};

template <class T>
static __device__ void gather_rows(const Gather& a) {
    for (i64 i = thread_of_grid(); i < a.n; i += threads_of_grid()) {
        i64 r = i / a.row;
        ((T*)a.y)[i] = ((const T*)a.x)[a.rows[r] * a.row + (i - r * a.row)];
    }
}

extern "C" __global__ void __launch_bounds__(256) gather1(Gather a) { gather_rows<u8>(a); }
extern "C" __global__ void __launch_bounds__(256) gather2(Gather a) { gather_rows<u16>(a); }
extern "C" __global__ void __launch_bounds__(256) gather4(Gather a) { gather_rows<u32>(a); }
extern "C" __global__ void __launch_bounds__(256) gather8(Gather a) { gather_rows<u64>(a); }

enum { PAD_CONSTANT = 0, PAD_REPLICATE, PAD_REFLECT };

// x has sizes `size`, y those plus `before` and `after`.
struct Pad {
    const void* x;
    void* y;
    i64 n;
    u64 fill;
    i64 size[AXES], before[AXES], after[AXES];
    int rank, mode;
};

template <class T>
static __device__ void pad_box(const Pad& a) {
    for (i64 i = thread_of_grid(); i < a.n; i += threads_of_grid()) {
        i64 rest = i, from = 0, step = 1;
        bool inside = true;
#pragma unroll 1
        for (int axis = a.rank - 1; axis >= 0; axis--) {
            i64 size = a.size[axis], padded = size + a.before[axis] + a.after[axis], next = rest / padded;
            i64 index = rest - next * padded - a.before[axis];
            if (index < 0 || index >= size) {
                if (a.mode == PAD_CONSTANT) inside = false;
                else if (a.mode == PAD_REPLICATE) index = index < 0 ? 0 : size - 1;
                else index = index < 0 ? -index : 2 * (size - 1) - index;
            }
            from += index * step;
            step *= size;
            rest = next;
        }
        ((T*)a.y)[i] = inside ? ((const T*)a.x)[from] : (T)a.fill;
    }
}

extern "C" __global__ void __launch_bounds__(256) pad1(Pad a) { pad_box<u8>(a); }
extern "C" __global__ void __launch_bounds__(256) pad2(Pad a) { pad_box<u16>(a); }
extern "C" __global__ void __launch_bounds__(256) pad4(Pad a) { pad_box<u32>(a); }
extern "C" __global__ void __launch_bounds__(256) pad8(Pad a) { pad_box<u64>(a); }

// How many padded places show element `index` of an axis, and the j-th of them.
static __device__ i64 shown(const Pad& a, int axis, i64 index) {
    i64 before = a.before[axis], after = a.after[axis], last = a.size[axis] - 1;
    if (a.mode == PAD_REPLICATE) return 1 + (index == 0 ? before : 0) + (index == last ? after : 0);
    if (a.mode == PAD_REFLECT) return 1 + (index >= 1 && index <= before) + (index < last && index >= last - after);
    return 1;
}

static __device__ i64 place(const Pad& a, int axis, i64 index, i64 j) {
    i64 before = a.before[axis], last = a.size[axis] - 1;
    if (a.mode == PAD_REPLICATE) return index == 0 ? j : before + index + j;
    if (a.mode == PAD_REFLECT && j > 0) {
        bool mirrored_before = index >= 1 && index <= before;
        return j == 1 && mirrored_before ? before - index : before + 2 * last - index;
    }
    return before + index;
}

// a.x is the gradient of the padded values, a.y that of the values; each element collects its own, so that nothing is added in a race.
extern "C" __global__ void __launch_bounds__(256) pad_backward(Pad a) {
    for (i64 i = thread_of_grid(); i < a.n; i += threads_of_grid()) {
        i64 index[AXES], count[AXES], total = 1, rest = i;
#pragma unroll 1
        for (int axis = a.rank - 1; axis >= 0; axis--) {
            i64 next = rest / a.size[axis];
            index[axis] = rest - next * a.size[axis];
            count[axis] = shown(a, axis, index[axis]);
            total *= count[axis];
            rest = next;
        }
        float sum = 0.0f;
        for (i64 t = 0; t < total; t++) {
            i64 left = t, from = 0, step = 1;
#pragma unroll 1
            for (int axis = a.rank - 1; axis >= 0; axis--) {
                i64 next = left / count[axis];
                from += place(a, axis, index[axis], left - next * count[axis]) * step;
                step *= a.size[axis] + a.before[axis] + a.after[axis];
                left = next;
            }
            sum += ((const float*)a.x)[from];
        }
        ((float*)a.y)[i] = sum;
    }
}
