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

// Numbers of an array that lie side by side, which one instruction reads or writes: 16 bytes of them, or one where they do not
// fill packs. Only where it starts at a multiple of its size.
template <int WIDTH, class Item = T> struct alignas(WIDTH * sizeof(Item)) Numbers { Item item[WIDTH]; };

constexpr int PACK = 16 / sizeof(T);
using Pack = Numbers<PACK>;

template <int WIDTH, class Item> __device__ inline Numbers<WIDTH, Item> load(const Item* from) {
    return *reinterpret_cast<const Numbers<WIDTH, Item>*>(from);
}

template <int WIDTH, class Item> __device__ inline void store(Item* to, const Numbers<WIDTH, Item>& numbers) {
    *reinterpret_cast<Numbers<WIDTH, Item>*>(to) = numbers;
}
