// What every file of kernels stands on. Nothing is included: NVRTC alone compiles this.
//
// Rules for kernels: extern "C" __global__, one parameter, a struct by value whose twin is in Rust; loops over the whole grid, so that any number of
// blocks does; full-mask shuffles with all 32 lanes alive; no return before __syncthreads(); the same arguments give the same bits, so no
// floating-point atomics.

typedef long long i64;
typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

#define AXES 8
#define FULL_WARP 0xffffffffu
#define MINUS_INFINITY __int_as_float((int)0xff800000)
#define PLUS_INFINITY __int_as_float(0x7f800000)

static __device__ __forceinline__ i64 thread_of_grid() {
    return (i64)blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ __forceinline__ i64 threads_of_grid() {
    return (i64)gridDim.x * blockDim.x;
}
