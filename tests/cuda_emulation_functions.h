// CUDA's functions on the CPU: exchanges between the lanes of a warp, numbers, products of tensor cores, asynchronous copies.
#pragma once

#include "cuda_emulation.h"

namespace emulation {

EMULATOR static unsigned lane() { return current->number % LANES; }

// What all lanes of the warp show, when all have shown it. It stays until the next exchange but one.
template <class Value> EMULATOR const Slot* exchange(const Value& value, unsigned mask = ~0u) {
    static_assert(sizeof(Value) <= sizeof(Slot));
    if (mask != ~0u) fail("a mask of lanes 0x%x, where the emulation knows the full one only", mask);
    Warp& warp = warps[current->number / LANES];
    unsigned parity = warp.barrier.generation & 1;
    if (warp.barrier.arrived == 0) warp.present[parity] = 0;
    memcpy(&warp.slots[parity][lane()], &value, sizeof value);
    warp.present[parity] |= 1u << lane();
    arrive_and_wait(warp.barrier);
    return warp.slots[parity];
}

EMULATOR static unsigned present() {  // at the exchange that was just made
    const Warp& warp = warps[current->number / LANES];
    return warp.present[(warp.barrier.generation - 1) & 1];
}

template <class Value> EMULATOR Value shown(const Slot* slots, unsigned from) {
    if (!(present() >> from & 1)) fail("lane %u reads lane %u, which takes no part", lane(), from);
    Value value;
    memcpy(&value, &slots[from], sizeof value);
    return value;
}

}  // namespace emulation

inline void __syncthreads() { emulation::arrive_and_wait(emulation::block_barrier); }
inline void __syncwarp(unsigned mask = ~0u) { emulation::exchange(0, mask); }
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class Value> EMULATOR Value __shfl_sync(unsigned mask, Value value, int from, int width = 32) {
    const emulation::Slot* slots = emulation::exchange(value, mask);
    unsigned first = emulation::lane() & ~(width - 1);
    return emulation::shown<Value>(slots, first + (from & (width - 1)));
}
template <class Value> EMULATOR Value __shfl_xor_sync(unsigned mask, Value value, int with, int width = 32) {
    const emulation::Slot* slots = emulation::exchange(value, mask);
    unsigned from = emulation::lane() ^ with, end = (emulation::lane() | (width - 1)) + 1;
    return from < end ? emulation::shown<Value>(slots, from) : value;
}
template <class Value> EMULATOR Value __shfl_down_sync(unsigned mask, Value value, unsigned by, int width = 32) {
    const emulation::Slot* slots = emulation::exchange(value, mask);
    unsigned from = emulation::lane() + by;
    return from <= (emulation::lane() | (width - 1)) ? emulation::shown<Value>(slots, from) : value;
}
template <class Value> EMULATOR Value __shfl_up_sync(unsigned mask, Value value, unsigned by, int width = 32) {
    const emulation::Slot* slots = emulation::exchange(value, mask);
    int from = int(emulation::lane()) - int(by), first = emulation::lane() & ~(width - 1);
    return from >= first ? emulation::shown<Value>(slots, from) : value;
}
EMULATOR inline unsigned __ballot_sync(unsigned mask, int predicate) {
    const emulation::Slot* slots = emulation::exchange(predicate, mask);
    unsigned present = emulation::present(), result = 0;
    for (unsigned i = 0; i < emulation::LANES; i++) result |= unsigned((present >> i & 1) && slots[i].words[0] != 0) << i;
    return result;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

// --- numbers ---------------------------------------------------------------------------------------------------------------

struct __half {
    _Float16 value;
    __half() = default;
    template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number>>> __half(Number x) : value(_Float16(x)) {}
    operator float() const { return float(value); }
};
using half = __half;

// The upper half of a float, rounded to the nearest one, ties to even; a nan becomes CUDA's.
struct __nv_bfloat16 {
    unsigned short bits;
    __nv_bfloat16() = default;
    template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number>>> __nv_bfloat16(Number x) {
        float number = float(x);
        unsigned word;
        memcpy(&word, &number, 4);
        bits = isnan(number) ? 0x7fff : (word + 0x7fff + (word >> 16 & 1)) >> 16;
    }
    operator float() const {
        unsigned word = unsigned(bits) << 16;
        float number;
        memcpy(&number, &word, 4);
        return number;
    }
};

inline float __half2float(__half x) { return x; }
inline __half __float2half(float x) { return x; }
inline __half __float2half_rn(float x) { return x; }
inline __half __double2half(double x) { return x; }
inline float __bfloat162float(__nv_bfloat16 x) { return x; }
inline __nv_bfloat16 __float2bfloat16(float x) { return x; }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return x; }
#define EMULATED_ARITHMETIC(type, op) \
    inline type operator op(type a, type b) { return float(a) op float(b); } \
    inline type& operator op##=(type& a, type b) { return a = a op b; }
#define EMULATED_COMPARISON(type, op) \
    inline bool operator op(type a, type b) { return float(a) op float(b); }
#define EMULATED_SHORT_FLOAT(type) \
    EMULATED_ARITHMETIC(type, +) \
    EMULATED_ARITHMETIC(type, -) \
    EMULATED_ARITHMETIC(type, *) \
    EMULATED_ARITHMETIC(type, /) \
    inline type operator-(type a) { return -float(a); } \
    EMULATED_COMPARISON(type, <) \
    EMULATED_COMPARISON(type, <=) \
    EMULATED_COMPARISON(type, >) \
    EMULATED_COMPARISON(type, >=) \
    EMULATED_COMPARISON(type, ==) \
    EMULATED_COMPARISON(type, !=) \
    inline bool __hisnan(type x) { return isnan(float(x)); }
EMULATED_SHORT_FLOAT(__half)
EMULATED_SHORT_FLOAT(__nv_bfloat16)
#undef EMULATED_ARITHMETIC
#undef EMULATED_COMPARISON
#undef EMULATED_SHORT_FLOAT

#define EMULATED_EXTREMES(type) \
    inline type min(type a, type b) { return b < a ? b : a; } \
    inline type max(type a, type b) { return b > a ? b : a; }
EMULATED_EXTREMES(int)
EMULATED_EXTREMES(unsigned)
EMULATED_EXTREMES(long)
EMULATED_EXTREMES(unsigned long)
EMULATED_EXTREMES(long long)
EMULATED_EXTREMES(unsigned long long)
#undef EMULATED_EXTREMES
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float rsqrt(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }

template <class To, class From> To emulated_bits(From x) {
    static_assert(sizeof(To) == sizeof(From));
    To result;
    memcpy(&result, &x, sizeof x);
    return result;
}
inline unsigned __float_as_uint(float x) { return emulated_bits<unsigned>(x); }
inline int __float_as_int(float x) { return emulated_bits<int>(x); }
inline float __uint_as_float(unsigned x) { return emulated_bits<float>(x); }
inline float __int_as_float(int x) { return emulated_bits<float>(x); }
inline long long __double_as_longlong(double x) { return emulated_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emulated_bits<double>(x); }
inline unsigned short __half_as_ushort(__half x) { return emulated_bits<unsigned short>(x); }
inline __half __ushort_as_half(unsigned short x) { return emulated_bits<__half>(x); }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short x) { return emulated_bits<__nv_bfloat16>(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }
inline int __mulhi(int a, int b) { return (long long)a * b >> 32; }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return (unsigned __int128)a * b >> 64; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __brev(unsigned x) {
    unsigned result = 0;
    for (int i = 0; i < 32; i++) result |= (x >> i & 1) << (31 - i);
    return result;
}

template <class Value> Value __ldg(const Value* from) { return *from; }
template <class Value> Value __ldcs(const Value* from) { return *from; }
template <class Value> void __stcs(Value* to, Value value) { *to = value; }

template <class Value> Value atomicAdd(Value* to, std::common_type_t<Value> value) {
    static_assert(std::is_integral_v<Value>, "the order of float sums must be fixed");
    Value before = *to;
    *to += value;
    return before;
}

// --- tensor cores --------------------------------------------------------------------------------------------------------

// The nearest float with 10 bits of fraction, ties away from zero: cvt.rna.tf32.f32.
inline unsigned round_to_tf32(float x) {
    unsigned bits = __float_as_uint(x);
    return isfinite(x) ? (bits + 0x1000) & ~0x1fffu : bits;
}

namespace emulation {

struct Operands { unsigned a[4], b[2]; };

// d += a · b of 16 × 8 values. A lane holds rows lane/4 and lane/4 + 8 of two columns of d, and of two blocks of columns of a;
// and column lane/4 of two blocks of rows of b. `at(word, i)` is the i-th of `packed` numbers in a register.
template <int packed, class At>
EMULATOR void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], At at) {
    Operands mine;
    memcpy(mine.a, a, sizeof a);
    memcpy(mine.b, b, sizeof b);
    const Slot* slots = exchange(mine);
    if (present() != ~0u) fail("mma with lanes 0x%x, where all must take part", present());
    unsigned group = lane() / 4, column = lane() % 4 * 2;
    for (int i = 0; i < 4; i++) {
        double sum = d[i];
        const Slot* left = slots + group * 4;
        const Slot* right = slots + (column + i % 2) * 4;
        for (int half = 0; half < 2; half++)  // the first and the second block of k
            for (int k = 0; k < 4; k++)
                for (int j = 0; j < packed; j++)
                    sum += double(at(left[k].words[i / 2 + half * 2], j)) * double(at(right[k].words[4 + half], j));
        d[i] = float(sum);
    }
}

}  // namespace emulation

inline void mma_m16n8k8_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    emulation::multiply<1>(d, a, b, [](unsigned word, int) { return __uint_as_float(word & ~0x1fffu); });
}
inline void mma_m16n8k16_f16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    emulation::multiply<2>(d, a, b, [](unsigned word, int j) { return float(__ushort_as_half(word >> 16 * j)); });
}
inline void mma_m16n8k16_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    emulation::multiply<2>(d, a, b, [](unsigned word, int j) { return float(__ushort_as_bfloat16(word >> 16 * j)); });
}

// --- what a thread begins and waits for later: copies to shared memory, and products of a warp group -------------------------

namespace emulation {

constexpr unsigned MOST_BEGUN = 256;

// What a thread has begun, in groups. It happens when it is waited for, as late as on a GPU that is slow.
template <class Work> struct Pending {
    Work work[MOST_BEGUN];
    unsigned ends[MOST_BEGUN], count, groups;
    unsigned long block;

    EMULATOR void begin(const Work& one) {
        if (count == MOST_BEGUN) fail("more than %u copies or products are begun and not waited for", MOST_BEGUN);
        work[count++] = one;
    }

    EMULATOR void commit() {
        if (groups == MOST_BEGUN) fail("more than %u groups are begun and not waited for", MOST_BEGUN);
        ends[groups++] = count;
    }

    EMULATOR void wait(unsigned pending) {
        if (groups <= pending) return;
        const unsigned finished = groups - pending, done = ends[finished - 1];
        for (unsigned i = 0; i < done; i++) work[i].finish();
        count -= done, groups = pending;
        memmove(work, work + done, count * sizeof(Work));
        for (unsigned i = 0; i < groups; i++) ends[i] = ends[finished + i] - done;
    }
};

// What the current thread has begun in the current block.
template <class Work> EMULATOR Pending<Work>& mine() {
    static Pending<Work> all[MOST_THREADS];
    Pending<Work>& found = all[current->number];
    if (found.block != blocks_begun) found.count = found.groups = 0, found.block = blocks_begun;
    return found;
}

struct Copy {
    void* to;
    const void* from;  // null: zeros

    EMULATOR void finish() const { from ? memcpy(to, from, 16) : memset(to, 0, 16); }
};

}  // namespace emulation

// Until the copy is waited for, there is neither what was there nor what is to come.
EMULATOR inline void copy_async_16(void* shared, const void* global, bool valid) {
    if ((size_t)shared % 16 || (valid && (size_t)global % 16)) emulation::fail("copy_async_16 of a misaligned address");
    emulation::check_access((size_t)shared, 16);
    if (valid) emulation::check_access((size_t)global, 16);
    memset(shared, 0xff, 16);
    emulation::mine<emulation::Copy>().begin({shared, valid ? global : nullptr});
}
inline void copy_async_commit() { emulation::mine<emulation::Copy>().commit(); }
template <int pending> void copy_async_wait() { emulation::mine<emulation::Copy>().wait(pending); }

namespace emulation {

constexpr unsigned SHARED_BEGIN = 656;  // the address of what a kernel asks for: a multiple of 16, all that CUDA promises

}  // namespace emulation

// An address in shared memory as instructions know it.
EMULATOR inline unsigned shared_address(const void* pointer) {
    return unsigned((const char*)pointer - emulation::dynamic_shared) + emulation::SHARED_BEGIN;
}

namespace emulation {

// Numbers that are packed in 32 bits of shared memory, at their place in swizzled rows of 128 bytes.
EMULATOR static unsigned swizzled(unsigned address) {
    unsigned at = (address ^ (address >> 3 & 0x70)) - SHARED_BEGIN, word;
    if (at + 4 > dynamic_size) fail("wgmma reads at %u, outside of the %u bytes of dynamic shared memory", at, dynamic_size);
    memcpy(&word, dynamic_shared + at, 4);
    return word;
}

// Row `row` of the matrix of a descriptor, 32 bytes.
EMULATOR static void read_row(unsigned (&words)[8], unsigned long long descriptor, int row) {
    const unsigned address = (descriptor & 0x3fff) << 4, eight_rows = (descriptor >> 32 & 0x3fff) << 4;
    if (descriptor >> 62 != 1 || (descriptor >> 49 & 7)) fail("a descriptor of another kind than swizzled in 128 bytes");
    for (int i = 0; i < 8; i++) words[i] = swizzled(address + row / 8 * eight_rows + row % 8 * 128 + i * 4);
}

// What a word holds: a number, truncated, not rounded, or two.
typedef double (*NumberOf)(unsigned, int);
EMULATOR inline double number_tf32(unsigned word, int) { return __uint_as_float(word & ~0x1fffu); }
EMULATOR inline double number_f16(unsigned word, int j) { return float(__ushort_as_half(word >> 16 * j)); }
EMULATOR inline double number_bf16(unsigned word, int j) { return float(__ushort_as_bfloat16(word >> 16 * j)); }

// A thread's part of d += a · b, of 64 rows and 8 `blocks` columns: of its warp's 16 rows as mma.sync has it.
struct Product {
    float (*d)[4];
    int blocks, packed;
    NumberOf at;
    unsigned long long a, b;

    EMULATOR void finish() const {
        const int row = current->number % 128 / LANES * 16 + lane() / 4, column = lane() % 4 * 2;
        unsigned left[2][8], right[8];
        for (int i = 0; i < 2; i++) read_row(left[i], a, row + 8 * i);
        for (int j = 0; j < blocks * 2; j++) {
            read_row(right, b, j / 2 * 8 + column + j % 2);
            for (int i = 0; i < 2; i++) {
                float& sum = d[j / 2][j % 2 + 2 * i];
                double total = sum;
                for (int k = 0; k < 8; k++)
                    for (int part = 0; part < packed; part++) total += at(left[i][k], part) * at(right[k], part);
                sum = float(total);
            }
        }
    }
};

EMULATOR static void begin_product(float (*d)[4], int blocks, int packed, NumberOf at, unsigned long long a,
                                   unsigned long long b) {
    struct Both { unsigned long long a, b; } both = {a, b};
    const Slot* slots = exchange(both);
    if (present() != ~0u) fail("wgmma with lanes 0x%x, where all must take part", present());
    if (memcmp(&slots[0], &both, sizeof both)) fail("wgmma with descriptors that are not the same in all lanes");
    mine<Product>().begin({d, blocks, packed, at, a, b});
}

}  // namespace emulation

#define EMULATED_WGMMA(type, packed) \
    template <int blocks> void wgmma_##type(float (&d)[blocks][4], unsigned long long a, unsigned long long b) { \
        emulation::begin_product(d, blocks, packed, emulation::number_##type, a, b); \
    }
EMULATED_WGMMA(tf32, 1)
EMULATED_WGMMA(f16, 2)
EMULATED_WGMMA(bf16, 2)
#undef EMULATED_WGMMA
inline void wgmma_fence() {}
inline void show_to_wgmma() {}
inline void wgmma_commit() { emulation::mine<emulation::Product>().commit(); }
template <int pending> void wgmma_wait() { emulation::mine<emulation::Product>().wait(pending); }
