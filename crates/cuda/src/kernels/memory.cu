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

static __device__ float f16_to_float(u16 h) {
    u32 sign = (u32)(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 0x3ff;
    if (exponent == 31) return __int_as_float((int)(sign | 0x7f800000 | mantissa << 13));
    if (exponent != 0) return __int_as_float((int)(sign | (exponent + 112) << 23 | mantissa << 13));
    float v = (float)mantissa * 5.9604644775390625e-8f;
    return sign ? -v : v;
}

// To nearest, ties to even.
static __device__ u16 float_to_f16(float v) {
    u32 bits = (u32)__float_as_int(v), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (u16)(sign | 0x7e00 | magnitude >> 13 & 0x3ff);
    if (magnitude >= 0x477ff000) return (u16)(sign | 0x7c00);
    if (magnitude < 0x38800000) {
        // Subnormal: 2^-24 is its unit. Below half of that it is zero.
        if (magnitude < 0x33000000) return (u16)sign;
        u32 shift = 126 - (magnitude >> 23), mantissa = (magnitude & 0x7fffff) | 0x800000;
        u32 kept = mantissa >> shift, rest = mantissa & ((1u << shift) - 1), half = 1u << (shift - 1);
        return (u16)(sign | (kept + (rest > half || (rest == half && (kept & 1)))));
    }
    u32 rounded = magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1);
    return (u16)(sign | rounded >> 13);
}

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
