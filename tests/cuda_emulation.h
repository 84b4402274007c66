// CUDA C++ on the CPU: the language, a scheduler that runs the blocks of a kernel one after another, and what watches them.
// The functions that kernels call are in cuda_emulation_functions.h.
//
// A thread of a block is a fiber, and only becomes one when it waits: a worker runs thread after thread on one stack, and the
// next worker is woken when a thread stops at a barrier or an exchange between lanes. Threads then take turns in their order.
// Shared memory is static, and holds nan before a block begins, as it holds anything on a GPU. Mistakes that a GPU punishes,
// or worse, does not, end the launch with a message: threads that wait for each other forever, lanes that are read but do not
// take part, misaligned 16-byte accesses, indices outside of a shared or local array, null pointers, and accesses to memory
// outside of the arrays that the kernel was given: for these the compiler has every access reported, as for kernels of Linux.
#pragma once

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <type_traits>
#include <utility>

#define MINIGRAD_EMULATED
#define __global__ __attribute__((noinline))
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static __attribute__((section("emulated_shared")))
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define EMULATOR __attribute__((no_sanitize("undefined", "kernel-address")))  // what is checked is the kernels

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
constexpr int warpSize = 32;

#define EMULATED_VECTORS(type, name) \
    struct alignas(2 * sizeof(type)) name##2 { type x, y; }; \
    struct alignas(16) name##4 { type x, y, z, w; }; \
    inline name##2 make_##name##2(type x, type y) { return {x, y}; } \
    inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
EMULATED_VECTORS(float, float)
EMULATED_VECTORS(double, double)
EMULATED_VECTORS(int, int)
EMULATED_VECTORS(unsigned, uint)
#undef EMULATED_VECTORS

// --- the scheduler ----------------------------------------------------------------------------------------------------

extern "C" char __start_emulated_shared[] __attribute__((weak)), __stop_emulated_shared[] __attribute__((weak));

struct __half;
struct __nv_bfloat16;

namespace emulation {

constexpr unsigned MOST_THREADS = 1024, LANES = 32;
constexpr size_t STACK = (128 << 10) + 1088;  // not a power of two: they would be kept in the same lines of a cache
constexpr size_t MOST_SHARED = 227 << 10;
alignas(128) static char dynamic_shared[MOST_SHARED];

struct Barrier { unsigned expected, arrived, generation; };

struct Slot { unsigned words[6]; };  // what a lane shows the others of its warp

struct Warp {
    Barrier barrier;
    unsigned present[2];  // the lanes that take part, at exchanges of even and odd numbers
    Slot slots[2][LANES];
};

struct Worker {
    jmp_buf place;
    ucontext_t start;
    bool started;
    unsigned number;  // of its thread
    uint3 thread;
    Worker *before, *after;  // in the ring of those that have a thread
};

static Worker workers[MOST_THREADS];
static Worker* idle[MOST_THREADS];
static unsigned idle_count;
static char* stacks;
static Worker *current, *last_begun;
static uint3 next_thread;
static unsigned threads, begun, fruitless;
static unsigned long blocks_begun;
static Barrier block_barrier;
static Warp warps[MOST_THREADS / LANES];
static jmp_buf launcher;
static char problem[512];
static unsigned dynamic_size;
static void (*call_kernel)(void**);
static void** kernel_arguments;

[[noreturn]] static void leave(int how) { _longjmp(launcher, how); }

template <class... Values>
[[noreturn]] __attribute__((noinline)) static void fail(const char* format, Values... values) {
    int length = snprintf(problem, sizeof problem, format, values...);
    snprintf(problem + length, sizeof problem - length, " (block %u, %u, %u, thread %u, %u, %u)", blockIdx.x, blockIdx.y,
             blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
    leave(2);
}

static void run_threads();

EMULATOR static void make_workers() {
    stacks = (char*)mmap(nullptr, STACK * MOST_THREADS, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks == MAP_FAILED) abort();
    for (unsigned i = 0; i < MOST_THREADS; i++) {
        getcontext(&workers[i].start);
        workers[i].start.uc_stack.ss_sp = stacks + i * STACK;
        workers[i].start.uc_stack.ss_size = STACK;
        makecontext(&workers[i].start, run_threads, 0);
    }
}

[[noreturn]] EMULATOR static void resume(Worker* worker) {
    current = worker;
    threadIdx = worker->thread;
    if (worker->started) _longjmp(worker->place, 1);
    worker->started = true;
    setcontext(&worker->start);
    abort();
}

// Another worker's turn: one that begins the next thread while there are any, then the next in the ring.
EMULATOR __attribute__((noinline)) static void yield() {
    Worker* me = current;
    Worker* other = begun < threads ? idle[--idle_count] : me->after;
    if (other != me && _setjmp(me->place) == 0) resume(other);
    asm volatile("" ::: "memory");
}

EMULATOR static void release_if_complete(Barrier& barrier) {
    if (barrier.arrived == 0 || barrier.arrived < barrier.expected) return;
    barrier.arrived = fruitless = 0;
    barrier.generation++;
}

EMULATOR static void arrive_and_wait(Barrier& barrier) {
    unsigned generation = barrier.generation;
    barrier.arrived++;
    release_if_complete(barrier);
    while (barrier.generation == generation) {
        if (++fruitless > 3 * threads) fail("threads wait for each other forever: some at a barrier that others do not reach");
        yield();
    }
    asm volatile("" ::: "memory");
}

EMULATOR static void enter_ring(Worker* worker, Worker* before) {
    worker->before = before ? before : worker;
    worker->after = before ? before->after : worker;
    worker->before->after = worker->after->before = worker;
}

EMULATOR static void begin_thread(Worker* worker) {
    worker->number = begun++;
    worker->thread = threadIdx = next_thread;
    if (++next_thread.x < blockDim.x) return;
    next_thread.x = 0;
    if (++next_thread.y < blockDim.y) return;
    next_thread.y = 0;
    next_thread.z++;
}

// What a worker does for ever: thread after thread, while there are any that have not begun.
EMULATOR static void run_threads() {
    Worker* me = current;
    for (;;) {
        enter_ring(me, last_begun);
        last_begun = me;
        while (begun < threads) {
            begin_thread(me);
            call_kernel(kernel_arguments);
            fruitless = 0;
            Barrier& warp = warps[me->number / LANES].barrier;
            warp.expected--, block_barrier.expected--;  // who has left is not waited for
            release_if_complete(warp);
            release_if_complete(block_barrier);
        }
        Worker* other = me->after;
        if (last_begun == me) last_begun = me->before == me ? nullptr : me->before;
        me->before->after = me->after;
        me->after->before = me->before;
        idle[idle_count++] = me;
        if (_setjmp(me->place) == 0) {
            if (other == me) leave(1);  // the block's last
            resume(other);
        }
    }
}

EMULATOR static void run_block() {
    threads = blockDim.x * blockDim.y * blockDim.z;
    begun = fruitless = 0;
    blocks_begun++;
    last_begun = nullptr;
    next_thread = {0, 0, 0};
    block_barrier = {threads, 0, 0};
    for (unsigned first = 0; first < threads; first += LANES) {
        warps[first / LANES].barrier = {threads - first < LANES ? threads - first : LANES, 0, 0};
    }
    if (__start_emulated_shared) memset(__start_emulated_shared, 0xff, __stop_emulated_shared - __start_emulated_shared);
    if (_setjmp(launcher) == 0) resume(idle[--idle_count]);
}

EMULATOR static const char* launch(void (*call)(void**), void** arguments, dim3 grid, dim3 block, unsigned dynamic) {
    if (!stacks) make_workers();
    for (idle_count = 0; idle_count < MOST_THREADS; idle_count++) idle[idle_count] = &workers[MOST_THREADS - 1 - idle_count];
    call_kernel = call, kernel_arguments = arguments, gridDim = grid, blockDim = block, dynamic_size = dynamic;
    problem[0] = 0;
    for (blockIdx.z = 0; blockIdx.z < grid.z; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) {
                memset(dynamic_shared, 0xff, dynamic);
                run_block();
                if (!problem[0]) continue;
                for (Worker& worker : workers) {  // their threads will never go on
                    if (worker.started) makecontext(&worker.start, run_threads, 0);
                    worker.started = false;
                }
                return problem;
            }
    return nullptr;
}

}  // namespace emulation

// --- what the compiler's checks report ---------------------------------------------------------------------------------------

extern "C" char __ehdr_start[] __attribute__((visibility("hidden"))), _end[] __attribute__((visibility("hidden")));

#define EMULATED_CALLBACK extern "C" EMULATOR __attribute__((visibility("hidden"), used)) void

namespace emulation {

struct Place { const char* file; unsigned line, column; };

struct Region { size_t begin, end; };

constexpr int MOST_REGIONS = 32;
static Region regions[MOST_REGIONS];
static int region_count;  // -1: any memory may be accessed

// Whether an access is to an argument's memory, to shared memory and constants, or to a thread's stack.
EMULATOR static void check_access(size_t address, size_t size) {
    if (region_count < 0) return;
    size_t end = address + size;
    if (address >= (size_t)stacks && end <= (size_t)stacks + STACK * MOST_THREADS) return;
    size_t dynamic = address - (size_t)dynamic_shared;
    if (dynamic < MOST_SHARED && dynamic + size > dynamic_size)
        fail("%zu bytes at %zu are outside of the %u bytes of dynamic shared memory", size, dynamic, dynamic_size);
    if (address >= (size_t)__ehdr_start && end <= (size_t)_end) return;
    for (int i = 0; i < region_count; i++) {
        if (address < regions[i].begin || end > regions[i].end) continue;
        Region found = regions[i];
        regions[i] = regions[0], regions[0] = found;  // the next access is likely to be there too
        return;
    }
    fail("%zu bytes at 0x%zx are in none of the arrays that the kernel was given", size, address);
}

}  // namespace emulation

EMULATED_CALLBACK __ubsan_handle_type_mismatch_v1(emulation::Place* at, size_t address) {
    emulation::fail("%s:%u: an access to the null or misaligned address 0x%zx", at->file, at->line, address);
}
EMULATED_CALLBACK __ubsan_handle_out_of_bounds(emulation::Place* at, size_t index) {
    emulation::fail("%s:%u: index %zd is outside of the array", at->file, at->line, ssize_t(index));
}
#define EMULATED_ACCESS(size) \
    EMULATED_CALLBACK __asan_load##size##_noabort(size_t address) { emulation::check_access(address, size); } \
    EMULATED_CALLBACK __asan_store##size##_noabort(size_t address) { emulation::check_access(address, size); }
EMULATED_ACCESS(1)
EMULATED_ACCESS(2)
EMULATED_ACCESS(4)
EMULATED_ACCESS(8)
EMULATED_ACCESS(16)
EMULATED_CALLBACK __asan_loadN_noabort(size_t address, size_t size) { emulation::check_access(address, size); }
EMULATED_CALLBACK __asan_storeN_noabort(size_t address, size_t size) { emulation::check_access(address, size); }
EMULATED_CALLBACK __asan_handle_no_return() {}

// --- what the host knows of a kernel -------------------------------------------------------------------------------

namespace emulation {

// A type as text: p and what it points to, or f, b for bfloat16, i, or s for a struct, and the size.
template <class Type> EMULATOR void describe_type(char*& end) {
    if constexpr (std::is_pointer_v<Type>) {
        *end++ = 'p';
        using To = std::remove_cv_t<std::remove_pointer_t<Type>>;
        if constexpr (!std::is_void_v<To>) describe_type<To>(end);
    } else {
        constexpr bool is_float = std::is_floating_point_v<Type> || std::is_same_v<Type, __half>;
        constexpr bool is_bfloat16 = std::is_same_v<Type, __nv_bfloat16>;
        char kind = is_float ? 'f' : is_bfloat16 ? 'b' : std::is_integral_v<Type> ? 'i' : 's';
        end += sprintf(end, "%c%zu", kind, sizeof(Type));
    }
}

template <auto function> struct Launcher;
template <class... Parameters, void (*function)(Parameters...)> struct Launcher<function> {
    template <size_t... number> EMULATOR static void unpack(void** arguments, std::index_sequence<number...>) {
        function(*(std::remove_cv_t<Parameters>*)arguments[number]...);
    }
    EMULATOR static void call(void** arguments) { unpack(arguments, std::index_sequence_for<Parameters...>()); }
    EMULATOR static const char* types() {
        static char text[sizeof...(Parameters) * 8 + 1];
        char* end = text;
        ((describe_type<std::remove_cv_t<Parameters>>(end), *end++ = ' '), ...);
        *end = 0;
        return text;
    }
};

// What the host reads of a kernel.
struct Kernel {
    const char *name, *parameters;
    int most_threads;
    const char* (*types)();
    void (*call)(void**);
};

}  // namespace emulation

// Returns what went wrong, or null. The kernel may access `count` regions of memory, or all of it if that is -1.
extern "C" EMULATOR __attribute__((visibility("default"))) const char* emulated_launch(
    const emulation::Kernel* kernel, void** arguments, const unsigned* geometry, unsigned dynamic,
    const emulation::Region* regions, int count) {
    const unsigned* g = geometry;
    emulation::region_count = count;
    for (int i = 0; i < count; i++) emulation::regions[i] = regions[i];
    return emulation::launch(kernel->call, arguments, {g[0], g[1], g[2]}, {g[3], g[4], g[5]}, dynamic);
}
