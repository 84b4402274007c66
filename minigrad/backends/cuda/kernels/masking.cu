// The elements of one array where another one says so, and zero elsewhere. Numbers are kept or dropped as bits, 16 bytes at a
// time: nothing is computed, so that nan, -0 and the numbers that a float comparison takes for 0 pass as they are.

template <int SIZE> struct BitsOf;
template <> struct BitsOf<2> { typedef unsigned short type; };
template <> struct BitsOf<4> { typedef unsigned int type; };
template <> struct BitsOf<8> { typedef unsigned long long type; };
typedef BitsOf<sizeof(T)>::type Bits;

__device__ inline bool says_so(unsigned char flag) { return flag; }
__device__ inline bool says_so(Bits number) { return Bits(number << 1); }  // not 0 and not -0

// In packs, the threads after the last whole one take the single numbers that are left.
template <class Item, int WIDTH>
__device__ inline void keep(const Bits* __restrict__ x, const Item* __restrict__ mask, Bits* __restrict__ result,
                            long long size) {
    const long long packs = size / WIDTH, rest = size - packs * WIDTH, threads = gridDim.x * blockDim.x;
    for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < packs + rest; i += threads) {
        if (i >= packs) {
            const long long place = packs * WIDTH + i - packs;
            result[place] = says_so(mask[place]) ? x[place] : Bits(0);
            continue;
        }
        Numbers<WIDTH, Bits> numbers = load<WIDTH>(x + i * WIDTH);
        const Numbers<WIDTH, Item> flags = load<WIDTH>(mask + i * WIDTH);
#pragma unroll
        for (int k = 0; k < WIDTH; k++) numbers.item[k] = says_so(flags.item[k]) ? numbers.item[k] : Bits(0);
        store(result + i * WIDTH, numbers);
    }
}

#define IN_PACKS_AND_SINGLY(name, Type, Item) \
    extern "C" __global__ void name##_packed(const T* x, const Type* mask, T* result, long long size) { \
        keep<Item, PACK>((const Bits*)x, (const Item*)mask, (Bits*)result, size); \
    } \
    extern "C" __global__ void name##_single(const T* x, const Type* mask, T* result, long long size) { \
        keep<Item, 1>((const Bits*)x, (const Item*)mask, (Bits*)result, size); \
    }

IN_PACKS_AND_SINGLY(keep, unsigned char, unsigned char)
IN_PACKS_AND_SINGLY(keep_positive, T, Bits)
