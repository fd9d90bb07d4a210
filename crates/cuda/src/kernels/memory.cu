// Constants of 8 bytes, and conversions between element types.

struct Fill {
    u64* y;
    i64 n;
    u64 bits;
};

extern "C" __global__ void __launch_bounds__(256) fill8(Fill a) {
    for (i64 i = thread_of_grid(); i < a.n; i += threads_of_grid()) a.y[i] = a.bits;
}

// The codes are those of layout.rs.
enum { TYPE_F32 = 0, TYPE_F64, TYPE_F16, TYPE_BF16, TYPE_U8, TYPE_I32, TYPE_I64 };

struct Cast {
    const void* x;
    void* y;
    i64 n;
    int from, to;
};

// As the CPU converts: the lower half of the mantissa is cut off first.
static __device__ u16 double_to_bf16(double v) {
    i64 all = __double_as_longlong(v);
    u32 x = (u32)((u64)all >> 32), sign = (x & 0x80000000u) >> 16, mantissa = x & 0xfffff;
    int exponent = (int)(x >> 20 & 0x7ff);
    if (exponent == 0x7ff) {
        u32 nan = mantissa == 0 && (u32)all == 0 ? 0 : 0x40;
        return (u16)(sign | 0x7f80 | nan | mantissa >> 13);
    }
    int biased = exponent - 1023 + 127;
    if (biased >= 0xff) return (u16)(sign | 0x7f80);
    if (biased <= 0) {
        if (7 - biased > 21) return (u16)sign;
        mantissa |= 0x100000;
        u32 kept = mantissa >> (14 - biased), round = 1u << (13 - biased);
        if ((mantissa & round) && (mantissa & (3 * round - 1))) kept++;
        return (u16)(sign | kept);
    }
    u32 kept = sign | (u32)biased << 7 | mantissa >> 13;
    if ((mantissa & 0x1000) && (mantissa & 0x2fff)) kept++;
    return (u16)kept;
}

static __device__ double read_as_double(const void* x, int type, i64 i) {
    switch (type) {
        case TYPE_F32: return (double)((const float*)x)[i];
        case TYPE_F64: return ((const double*)x)[i];
        case TYPE_F16: return (double)f16_to_float(((const u16*)x)[i]);
        case TYPE_BF16: return (double)__int_as_float((int)((u32)((const u16*)x)[i] << 16));
        case TYPE_U8: return (double)((const u8*)x)[i];
        case TYPE_I32: return (double)((const int*)x)[i];
        default: return (double)((const i64*)x)[i];
    }
}

// Integers are cut off and saturate; no number is 0.
static __device__ void write_double(void* y, int type, i64 i, double v) {
    switch (type) {
        case TYPE_F32: ((float*)y)[i] = (float)v; break;
        case TYPE_F64: ((double*)y)[i] = v; break;
        case TYPE_F16: ((u16*)y)[i] = float_to_f16((float)v); break;
        case TYPE_BF16: ((u16*)y)[i] = double_to_bf16(v); break;
        case TYPE_U8: ((u8*)y)[i] = !(v > 0.0) ? 0 : v >= 255.0 ? 255 : (u8)v; break;
        case TYPE_I32:
            ((int*)y)[i] = v != v ? 0 : v >= 2147483647.0 ? 2147483647 : v <= -2147483648.0 ? -2147483647 - 1 : (int)v;
            break;
        default:
            ((i64*)y)[i] = v != v                        ? 0
                           : v >= 9223372036854775808.0  ? 9223372036854775807LL
                           : v <= -9223372036854775808.0 ? -9223372036854775807LL - 1
                                                         : (i64)v;
    }
}

extern "C" __global__ void __launch_bounds__(256) cast(Cast a) {
    for (i64 i = thread_of_grid(); i < a.n; i += threads_of_grid()) {
        write_double(a.y, a.to, i, read_as_double(a.x, a.from, i));
    }
}

// float32 to 16 bits: factors for products that read no others.
struct Narrow {
    const float* x;
    u16* y;
    i64 n;
    int to, unused;
};

extern "C" __global__ void __launch_bounds__(256) narrow(Narrow a) {
    for (i64 i = thread_of_grid(); i < a.n; i += threads_of_grid()) {
        a.y[i] = a.to == ROUND_BF16 ? float_to_bf16(a.x[i]) : float_to_f16(a.x[i]);
    }
}
