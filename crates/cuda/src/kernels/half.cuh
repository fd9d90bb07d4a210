// Numbers of 16 bits, by hand: the compiler's own header may not be there.

// What factors are rounded to; the codes are those of narrow.rs.
enum { ROUND_NOT = 0, ROUND_BF16, ROUND_F16 };

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

// To nearest, ties to even.
static __device__ u16 float_to_bf16(float v) {
    u32 bits = (u32)__float_as_int(v);
    if ((bits & 0x7fffffff) > 0x7f800000) return (u16)(bits >> 16 | 0x40);
    return (u16)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#ifdef ROUNDING
// Apart, so that it is not copied into each loop.
static __device__ __noinline__ float rounded_to(int rounding, float v) {
    if (rounding == ROUND_F16) return f16_to_float(float_to_f16(v));
    return __int_as_float((int)((u32)float_to_bf16(v) << 16));
}

// A factor as products read it.
static __device__ __forceinline__ float rounded(int rounding, float v) { return rounding == ROUND_NOT ? v : rounded_to(rounding, v); }
#else
static __device__ __forceinline__ float rounded(int, float v) { return v; }
#endif
