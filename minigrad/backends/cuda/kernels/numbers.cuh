// What all kernels start with. In front of it, T is declared as the type in memory (float, double, __half or __nv_bfloat16), A as
// the type that is computed in (float for those of two bytes), and DIGITS as the bits of T's mantissa, the first one included.
// Threads read T, compute in A, and write T, rounded to the nearest one.

constexpr bool IS_BFLOAT16 = DIGITS == 8;  // not __half, which has as many bytes

// bfloat16 is the upper half of a float. CUDA's own conversion says so in assembler, around which the compiler runs out of
// registers.
template <class From> __device__ inline A wide(From x) {
    if constexpr (IS_BFLOAT16) return __uint_as_float(unsigned(__bfloat16_as_ushort(x)) << 16);
    else return A(x);
}

template <class To> __device__ inline To narrow(A x) { return To(x); }

// 16 bytes of an array, which one instruction reads or writes.
struct alignas(16) Pack { T item[16 / sizeof(T)]; };
constexpr int PACK = 16 / sizeof(T);
