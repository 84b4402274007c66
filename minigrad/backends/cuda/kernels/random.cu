// Random numbers by Philox 4x32-10 (Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3): ten rounds of mixing turn
// a counter into four words. A stream is a seed, which is the key, and an offset, the first counter that has not been used;
// both lie in device memory, so that a CUDA graph goes on at every replay. Which counter makes which element depends on
// nothing else, such as the size of the grid.

typedef unsigned long long word64;

struct Words { unsigned word[4]; };

// A block of four words; `attempt` counts other blocks for the same place.
__device__ inline Words philox(word64 key, word64 counter, word64 attempt = 0) {
    unsigned x0 = unsigned(counter), x1 = unsigned(counter >> 32), x2 = unsigned(attempt), x3 = unsigned(attempt >> 32);
    unsigned key0 = unsigned(key), key1 = unsigned(key >> 32);
#pragma unroll
    for (int i = 0; i < 10; i++) {
        const word64 even = 0xD2511F53ull * x0, odd = 0xCD9E8D57ull * x2;
        x0 = unsigned(odd >> 32) ^ x1 ^ key0;
        x1 = unsigned(odd);
        x2 = unsigned(even >> 32) ^ x3 ^ key1;
        x3 = unsigned(even);
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return {{x0, x1, x2, x3}};
}

__device__ inline word64 pair(const Words& words, int i) { return (word64)words.word[2 * i] << 32 | words.word[2 * i + 1]; }

// All elements of an array, COUNT of them from each counter, which `make` makes. It begins where so many can be written at once.
template <int COUNT, class Item, class Make>
__device__ inline void fill(const word64* stream, Item* out, long long size, const Make& make) {
    const word64 key = stream[0], offset = stream[1];
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i * COUNT < size; i += step) {
        Numbers<COUNT, Item> made;
        make(key, offset + i, made.item);
        if ((i + 1) * COUNT <= size) {
            store(out + i * COUNT, made);
        } else {
#pragma unroll
            for (int j = 0; j < COUNT; j++)
                if (i * COUNT + j < size) out[i * COUNT + j] = made.item[j];
        }
    }
}

// From 0 to below 1, in steps of T's last bit below 1: nothing is rounded, to 1 for instance.
template <class Float> __device__ inline void uniform_of(const Words& words, Float* x) {
#pragma unroll
    for (int j = 0; j < 4; j++) x[j] = narrow<Float>((words.word[j] >> (32 - DIGITS)) * (1.0f / (1 << DIGITS)));
}
__device__ inline void uniform_of(const Words& words, double* x) {
#pragma unroll
    for (int j = 0; j < 2; j++) x[j] = (pair(words, j) >> 11) * 0x1p-53;
}

// Box and Muller 1958: two normal numbers from a radius, whose uniform number is above 0, and an angle.
__device__ inline void box_muller(float radius, float angle, float* x) {
    const float length = sqrt(-2.0f * log(radius)), turn = 6.283185307179586f * angle;
    x[0] = length * cos(turn);
    x[1] = length * sin(turn);
}
__device__ inline void box_muller(double radius, double angle, double* x) {
    const double length = sqrt(-2.0 * log(radius)), turn = 6.283185307179586 * angle;
    x[0] = length * cos(turn);
    x[1] = length * sin(turn);
}
__device__ inline void normal_of(const Words& words, float* x) {
#pragma unroll
    for (int j = 0; j < 4; j += 2) box_muller(words.word[j] * 0x1p-32f + 0x1p-33f, words.word[j + 1] * 0x1p-32f, x + j);
}
__device__ inline void normal_of(const Words& words, double* x) {
    box_muller(((pair(words, 0) >> 11) + 1) * 0x1p-53, (pair(words, 1) >> 11) * 0x1p-53, x);
}
template <class Short> __device__ inline void normal_of(const Words& words, Short* x) {
    float wide[4];
    normal_of(words, wide);
#pragma unroll
    for (int j = 0; j < 4; j++) x[j] = narrow<Short>(wide[j]);
}

// The product of two 64-bit numbers.
__device__ inline word64 multiply(word64 a, word64 b, word64& low) {
    const word64 a0 = unsigned(a), a1 = a >> 32, b0 = unsigned(b), b1 = b >> 32;
    const word64 across = a1 * b0 + (a0 * b0 >> 32), rest = a0 * b1 + unsigned(across);
    low = a * b;
    return a1 * b1 + (across >> 32) + (rest >> 32);
}

constexpr int FLOATS = sizeof(T) == 8 ? 2 : 4;

struct Uniform {
    __device__ void operator()(word64 key, word64 counter, T* x) const { uniform_of(philox(key, counter), x); }
};

struct Normal {
    __device__ void operator()(word64 key, word64 counter, T* x) const { normal_of(philox(key, counter), x); }
};

struct Mask {
    word64 threshold;
    __device__ void operator()(word64 key, word64 counter, bool* x) const {
        const Words words = philox(key, counter);
#pragma unroll
        for (int j = 0; j < 4; j++) x[j] = words.word[j] < threshold;
    }
};

struct Bits {
    __device__ void operator()(word64 key, word64 counter, long long* x) const {
        const Words words = philox(key, counter);
#pragma unroll
        for (int j = 0; j < 2; j++) x[j] = (long long)pair(words, j);
    }
};

// Lemire 2019, Fast random integer generation in an interval: the upper half of a product, drawn again where the lower half is
// one of those that would make some integers likelier. A range of 0 stands for 2^64.
struct Integers {
    long long low;
    word64 range, refused;
    __device__ void operator()(word64 key, word64 counter, long long* x) const {
        const Words words = philox(key, counter);
#pragma unroll
        for (int j = 0; j < 2; j++) {
            word64 drawn = pair(words, j), rest, found = range ? multiply(drawn, range, rest) : drawn;
            for (word64 attempt = 1; range && rest < refused; attempt++) {
                drawn = pair(philox(key, counter, attempt), j);
                found = multiply(drawn, range, rest);
            }
            x[j] = (long long)(low + found);
        }
    }
};

extern "C" __global__ void __launch_bounds__(256) uniform(const word64* stream, T* out, long long size) {
    fill<FLOATS>(stream, out, size, Uniform());
}

extern "C" __global__ void __launch_bounds__(256) normal(const word64* stream, T* out, long long size) {
    fill<FLOATS>(stream, out, size, Normal());
}

extern "C" __global__ void __launch_bounds__(256) mask(const word64* stream, bool* out, long long size, word64 threshold) {
    fill<4>(stream, out, size, Mask{threshold});
}

extern "C" __global__ void __launch_bounds__(256) bits(const word64* stream, long long* out, long long size) {
    fill<2>(stream, out, size, Bits());
}

extern "C" __global__ void __launch_bounds__(256)
integers(const word64* stream, long long* out, long long size, long long low, word64 range, word64 refused) {
    fill<2>(stream, out, size, Integers{low, range, refused});
}

// After a draw: its counters are used.
extern "C" __global__ void advance(word64* stream, long long counters) { stream[1] += counters; }
