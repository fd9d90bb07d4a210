// What NVRTC declares by itself, for g++; and threads as fibers. Kernels are compiled between this and end.h, without any other header.

typedef __SIZE_TYPE__ size_t;

#define __CUDA_EMU__ 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) __attribute__((aligned(n)))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
// All shared memory lies in one section, which is filled with NaNs before each block.
#define __shared__ static __attribute__((section("emu_shared")))

struct uint3 {
    unsigned x, y, z;
};

extern "C" {
float expf(float) noexcept;
float logf(float) noexcept;
float sqrtf(float) noexcept;
float fabsf(float) noexcept;
float fmaxf(float, float) noexcept;
float fminf(float, float) noexcept;
float copysignf(float, float) noexcept;
float tanhf(float) noexcept;
float expm1f(float) noexcept;
float log1pf(float) noexcept;
float erff(float) noexcept;
float erfcf(float) noexcept;
float floorf(float) noexcept;
double floor(double) noexcept;
double trunc(double) noexcept;
float ceilf(float) noexcept;
float powf(float, float) noexcept;
float sinf(float) noexcept;
float cosf(float) noexcept;
void* aligned_alloc(size_t, size_t) noexcept;
void* memset(void*, int, size_t) noexcept;
void* memcpy(void*, const void*, size_t) noexcept;
int snprintf(char*, size_t, const char*, ...) noexcept;
}

namespace emu {

// Only assembly changes these behind the compiler's back, so they must not be internal to this file.
__attribute__((visibility("hidden"))) extern uint3 thread_index, block_index, block_size, grid_size;
__attribute__((visibility("hidden"))) void barrier(int line);
__attribute__((visibility("hidden"))) unsigned long long exchange(unsigned mask, unsigned long long bits, int lane, int line);
__attribute__((visibility("hidden"))) unsigned ballot(unsigned mask, bool vote, int line);
__attribute__((visibility("hidden"))) int own_lane();

template <class T>
inline T traded(unsigned mask, T v, int lane, int line) {
    unsigned long long bits = 0;
    static_assert(sizeof(T) <= sizeof bits, "lanes exchange at most 8 bytes");
    memcpy(&bits, &v, sizeof v);
    bits = exchange(mask, bits, lane, line);
    memcpy(&v, &bits, sizeof v);
    return v;
}

}  // namespace emu

#define threadIdx emu::thread_index
#define blockIdx emu::block_index
#define blockDim emu::block_size
#define gridDim emu::grid_size
#define __syncthreads() emu::barrier(__LINE__)
#define __shfl_xor_sync(mask, v, with) emu::traded(mask, v, emu::own_lane() ^ (with), __LINE__)
#define __shfl_down_sync(mask, v, by) emu::traded(mask, v, emu::own_lane() + (by) > 31 ? emu::own_lane() : emu::own_lane() + (by), __LINE__)
#define __shfl_sync(mask, v, from) emu::traded(mask, v, (from) & 31, __LINE__)
#define __ballot_sync(mask, vote) emu::ballot(mask, vote, __LINE__)
#define __any_sync(mask, vote) (emu::ballot(mask, vote, __LINE__) != 0)
#define __all_sync(mask, vote) (emu::ballot(mask, vote, __LINE__) == (mask))
#define __syncwarp() ((void)emu::ballot(0xffffffffu, true, __LINE__))

static inline float __int_as_float(int v) {
    float f;
    memcpy(&f, &v, sizeof f);
    return f;
}
static inline int __float_as_int(float v) {
    int i;
    memcpy(&i, &v, sizeof i);
    return i;
}
static inline long long __double_as_longlong(double v) {
    long long i;
    memcpy(&i, &v, sizeof i);
    return i;
}
static inline double __longlong_as_double(long long v) {
    double d;
    memcpy(&d, &v, sizeof d);
    return d;
}
// Rounded each for itself: behind a call the compiler joins no product with a sum.
static __attribute__((noinline)) float __fmul_rn(float a, float b) { return a * b; }
static __attribute__((noinline)) float __fadd_rn(float a, float b) { return a + b; }
static __attribute__((noinline)) double __dmul_rn(double a, double b) { return a * b; }
static __attribute__((noinline)) double __dadd_rn(double a, double b) { return a + b; }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
static inline int __popc(unsigned v) { return __builtin_popcount(v); }
