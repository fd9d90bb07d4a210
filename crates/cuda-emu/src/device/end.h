// The scheduler: a block's threads are fibers that run one after the other, each until it waits.

namespace emu {

uint3 thread_index, block_index, block_size, grid_size;

enum State { FRESH, READY, AT_BARRIER, AT_WARP, DONE };

struct Fiber {
    void* sp;
    char* stack;
    State state;
    int line;
    unsigned mask, exchanges;
    uint3 index;
};

struct Kernel {
    const char* name;
    void (*run)(const void*);
    size_t size;
};

static const size_t STACK = 64 << 10;
static const unsigned long long GUARD = 0x5ca1ab1e0ddba11ull;
static const int MOST = 1024;

static Fiber fibers[MOST];
static int order_of[MOST];
static int count, next_fresh, current;
static void* scheduler_sp;
static char* spare[MOST + 1];
static int spares;
static unsigned long long slots[2][MOST];
static const Kernel* kernel;
static const void* arguments;
static char* problem;
static size_t problem_size;
static bool failed;

extern "C" __attribute__((visibility("hidden"))) void emu_switch(void** save, void* load);
extern "C" __attribute__((visibility("hidden"))) char __start_emu_shared[] __attribute__((weak));
extern "C" __attribute__((visibility("hidden"))) char __stop_emu_shared[] __attribute__((weak));

#if defined(__x86_64__)
asm(R"(
.text
.globl emu_switch
.hidden emu_switch
emu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
static const size_t FRAME = 64, RETURN = 48;
#elif defined(__aarch64__)
asm(R"(
.text
.globl emu_switch
.hidden emu_switch
emu_switch:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
)");
static const size_t FRAME = 160, RETURN = 88;
#else
#error "the emulator switches stacks on x86-64 and aarch64 only"
#endif

template <class... T>
static void complain(const char* format, T... values) {
    if (failed) return;
    failed = true;
    snprintf(problem, problem_size, format, values...);
}

static void begin(int thread) {
    current = thread;
    thread_index = fibers[thread].index;
}

// Runs fresh threads, one after the other on this stack as long as none waits; a thread that waited ends here too.
static void entry() {
    for (;;) {
        kernel->run(arguments);
        fibers[current].state = DONE;
        if (next_fresh == count || failed) {
            void* ignored;
            fibers[current].sp = 0;
            emu_switch(&ignored, scheduler_sp);
        }
        char* stack = fibers[current].stack;
        fibers[current].stack = 0;
        begin(order_of[next_fresh++]);
        fibers[current].stack = stack;
    }
}

// Gives control back until this thread may go on.
static void wait(State state, int line) {
    Fiber& f = fibers[current];
    f.state = state;
    f.line = line;
    emu_switch(&f.sp, scheduler_sp);
}

void barrier(int line) { wait(AT_BARRIER, line); }

int own_lane() { return current % 32; }

unsigned long long exchange(unsigned mask, unsigned long long bits, int lane, int line) {
    int thread = current, other = thread / 32 * 32 + lane;
    unsigned turn = fibers[thread].exchanges++ % 2;
    slots[turn][thread] = bits;
    fibers[thread].mask = mask;
    if (lane < 0 || lane > 31 || !(mask >> lane & 1)) {
        complain("%s, line %d: thread %d reads lane %d, which mask %x does not name", kernel->name, line, thread, lane, mask);
    }
    wait(AT_WARP, line);
    return slots[turn][other];
}

unsigned ballot(unsigned mask, bool vote, int line) {
    int thread = current;
    unsigned turn = fibers[thread].exchanges++ % 2, all = 0;
    slots[turn][thread] = vote;
    fibers[thread].mask = mask;
    wait(AT_WARP, line);
    for (int lane = 0; lane < 32; lane++) {
        if (mask >> lane & 1) all |= (unsigned)slots[turn][thread / 32 * 32 + lane] << lane;
    }
    return all;
}

static void start_fresh() {
    char* stack = spares > 0 ? spare[--spares] : (char*)aligned_alloc(64, STACK);
    *(unsigned long long*)stack = GUARD;
    int thread = order_of[next_fresh++];
    begin(thread);
    fibers[thread].stack = stack;
    char* sp = stack + STACK - FRAME - 16;
    memset(sp, 0, FRAME + 16);
    *(void (**)())(sp + RETURN) = entry;
    emu_switch(&scheduler_sp, sp);
}

// A stack whose thread has ended is free.
static void collect() {
    Fiber& f = fibers[current];
    if (f.state != DONE || f.stack == 0) return;
    if (*(unsigned long long*)f.stack != GUARD) complain("%s: thread %d overran its stack", kernel->name, current);
    spare[spares++] = f.stack;
    f.stack = 0;
}

// Lets the lanes of a warp go on that all wait for each other; whether any did.
static bool meet(int warp) {
    bool any = false;
    int end = warp + 32 < count ? warp + 32 : count;
    for (int i = warp; i < end; i++) {
        Fiber& f = fibers[i];
        if (f.state != AT_WARP) continue;
        bool all = f.mask >> (i - warp) & 1;
        if (!all) complain("%s, line %d: thread %d is not in its own mask %x", kernel->name, f.line, i, f.mask);
        for (int lane = 0; lane < 32 && all; lane++) {
            if (!(f.mask >> lane & 1)) continue;
            int j = warp + lane;
            if (j >= count || fibers[j].state == DONE) {
                complain("%s, line %d: the mask names lane %d of thread %d's warp, which has ended", kernel->name, f.line, lane, i);
            }
            all = j < count && fibers[j].state == AT_WARP && fibers[j].mask == f.mask;
            if (all && (fibers[j].line != f.line || fibers[j].exchanges != f.exchanges)) {
                complain("%s: lanes %d and %d of a warp meet on lines %d and %d", kernel->name, i, j, f.line, fibers[j].line);
            }
        }
        if (!all || failed) continue;
        unsigned mask = f.mask;
        for (int lane = 0; lane < 32; lane++)
            if (mask >> lane & 1) fibers[warp + lane].state = READY;
        any = true;
    }
    return any;
}

static void run_block() {
    if (__start_emu_shared != 0) memset(__start_emu_shared, 0xff, (size_t)(__stop_emu_shared - __start_emu_shared));
    next_fresh = 0;
    while (!failed) {
        while (next_fresh < count && !failed) {
            start_fresh();
            collect();
        }
        bool ran = false;
        for (int i = 0; i < count && !failed; i++) {
            int thread = order_of[i];
            if (fibers[thread].state != READY) continue;
            ran = true;
            begin(thread);
            emu_switch(&scheduler_sp, fibers[thread].sp);
            collect();
        }
        if (ran || failed) continue;
        bool met = false;
        for (int warp = 0; warp < count; warp += 32) met |= meet(warp);
        if (met || failed) continue;
        int waiting = -1, ended = -1, apart = -1;
        for (int i = 0; i < count; i++) {
            if (fibers[i].state == DONE) {
                ended = i;
            } else if (fibers[i].state == AT_WARP) {
                complain("%s, line %d: thread %d waits for lanes that never come", kernel->name, fibers[i].line, i);
            } else if (waiting >= 0 && fibers[i].line != fibers[waiting].line) {
                apart = i;
            } else {
                waiting = i;
            }
        }
        if (failed || waiting < 0) break;
        if (ended >= 0) {
            complain("%s, line %d: thread %d waits at __syncthreads, which thread %d never reached", kernel->name,
                     fibers[waiting].line, waiting, ended);
        } else if (apart >= 0) {
            complain("%s: divergent __syncthreads: thread %d on line %d, thread %d on line %d", kernel->name, waiting,
                     fibers[waiting].line, apart, fibers[apart].line);
        } else {
            for (int i = 0; i < count; i++) fibers[i].state = READY;
        }
    }
    // After a fault threads are left where they are; their stacks are free again.
    for (int i = 0; i < count && failed; i++) {
        if (fibers[i].stack != 0) spare[spares++] = fibers[i].stack;
        fibers[i].stack = 0;
    }
}

template <class A>
static void call(void (*f)(A), const void* p) {
    f(*(const A*)p);
}

template <class A>
constexpr size_t size_of_argument(void (*)(A)) {
    return sizeof(A);
}

}  // namespace emu

#define EMU_KERNEL(f) {#f, [](const void* p) { emu::call(f, p); }, emu::size_of_argument(f)}

extern "C" __attribute__((visibility("default"))) const emu::Kernel emu_kernels[] = {
#include EMU_LIST
    {0, 0, 0}};

// 0, or 1 with a text in `problem`.
extern "C" __attribute__((visibility("default"))) int emu_launch(int which, const unsigned* grid, const unsigned* block,
                                                                 const void* arguments, unsigned order, char* problem,
                                                                 size_t problem_size) {
    using namespace emu;
    kernel = &emu_kernels[which];
    emu::arguments = arguments;
    emu::problem = problem;
    emu::problem_size = problem_size;
    failed = false;
    count = (int)(block[0] * block[1] * block[2]);
    block_size = {block[0], block[1], block[2]};
    grid_size = {grid[0], grid[1], grid[2]};
    unsigned long long random = order;
    for (int i = 0; i < count; i++) order_of[i] = order == 1 ? count - 1 - i : i;
    for (int i = count - 1; i > 0 && order > 1; i--) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        int j = (int)((random >> 33) % (unsigned)(i + 1)), other = order_of[j];
        order_of[j] = order_of[i];
        order_of[i] = other;
    }
    unsigned long long blocks = (unsigned long long)grid[0] * grid[1] * grid[2];
    for (unsigned long long i = 0; i < blocks && !failed; i++) {
        unsigned long long b = order == 0 ? i : blocks - 1 - i;
        block_index = {(unsigned)(b % grid[0]), (unsigned)(b / grid[0] % grid[1]), (unsigned)(b / grid[0] / grid[1])};
        for (int t = 0; t < count; t++) {
            fibers[t].state = FRESH;
            fibers[t].exchanges = 0;
            fibers[t].stack = 0;
            fibers[t].index = {(unsigned)t % block[0], (unsigned)t / block[0] % block[1], (unsigned)t / block[0] / block[1]};
        }
        run_block();
    }
    return failed;
}
