// Arithmetic element by element on memory that lies alike, 16 bytes per thread and turn, where CuPy's own kernels read one element.
// Alignment is that of CuPy's pool; what is left at the end, or all where a view begins in between, goes one by one.

template <class Function> __device__ inline void pairs(const T *a, const T *b, T *to, long long size, int packed, Function f) {
    size_t packs = packed ? size / PACK : 0, step = size_t(gridDim.x) * blockDim.x;
    size_t start = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    for (size_t i = start; i < packs; i += step) {
        Pack x = ((const Pack *)a)[i], y = ((const Pack *)b)[i];
#pragma unroll
        for (int j = 0; j < PACK; ++j) x.item[j] = narrow<T>(f(wide(x.item[j]), wide(y.item[j])));
        ((Pack *)to)[i] = x;
    }
    for (size_t i = packs * PACK + start; i < size_t(size); i += step) to[i] = narrow<T>(f(wide(a[i]), wide(b[i])));
}

template <class Function> __device__ inline void singles(const T *a, A number, T *to, long long size, int packed, Function f) {
    size_t packs = packed ? size / PACK : 0, step = size_t(gridDim.x) * blockDim.x;
    size_t start = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    for (size_t i = start; i < packs; i += step) {
        Pack x = ((const Pack *)a)[i];
#pragma unroll
        for (int j = 0; j < PACK; ++j) x.item[j] = narrow<T>(f(wide(x.item[j]), number));
        ((Pack *)to)[i] = x;
    }
    for (size_t i = packs * PACK + start; i < size_t(size); i += step) to[i] = narrow<T>(f(wide(a[i]), number));
}

// x op y with y an array, and with y a number.
#define OPERATION(name, expression)                                                                                         \
    extern "C" __global__ void name(const T *a, const T *b, T *to, long long size, int packed) {                            \
        pairs(a, b, to, size, packed, [](A x, A y) { return expression; });                                                 \
    }                                                                                                                       \
    extern "C" __global__ void name##_number(const T *a, A number, T *to, long long size, int packed) {                     \
        singles(a, number, to, size, packed, [](A x, A y) { return expression; });                                          \
    }

OPERATION(add, x + y)
OPERATION(subtract, x - y)
OPERATION(multiply, x *y)
OPERATION(divide, x / y)
OPERATION(maximum, x != x || y != y ? x + y : x > y ? x : y)  // nan of either; of zeros the second, as in NumPy
OPERATION(minimum, x != x || y != y ? x + y : x < y ? x : y)

// A number per column, as a bias, added to rows of so many columns.
extern "C" __global__ void add_to_rows(T *rows, const T *values, long long size, long long columns, int packed) {
    size_t packs = packed ? size / PACK : 0, step = size_t(gridDim.x) * blockDim.x;
    size_t start = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    for (size_t i = start; i < packs; i += step) {
        Pack x = ((const Pack *)rows)[i], y = ((const Pack *)values)[i % (columns / PACK)];
#pragma unroll
        for (int j = 0; j < PACK; ++j) x.item[j] = narrow<T>(wide(x.item[j]) + wide(y.item[j]));
        ((Pack *)rows)[i] = x;
    }
    for (size_t i = packs * PACK + start; i < size_t(size); i += step)
        rows[i] = narrow<T>(wide(rows[i]) + wide(values[i % columns]));
}

// The sum of rows that lie apart from each other, as those of some channels of wider planes do. Sizes are counted in items: T, or
// Pack where all of them allow it.
template <class Item, int ITEMS> __device__ inline void add_apart(
    const Item *a, const Item *b, Item *to, long long rows, long long width, long long pitch_a, long long pitch_b,
    long long pitch_to) {
    size_t all = size_t(rows) * width;
    for (size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x; i < all; i += size_t(gridDim.x) * blockDim.x) {
        size_t row = i / width, column = i - row * width;
        Item x = a[row * pitch_a + column], y = b[row * pitch_b + column];
        T *sums = (T *)&x;
#pragma unroll
        for (int j = 0; j < ITEMS; ++j) sums[j] = narrow<T>(wide(sums[j]) + wide(((const T *)&y)[j]));
        to[row * pitch_to + column] = x;
    }
}

extern "C" __global__ void add_rows_packed(
    const T *a, const T *b, T *to, long long rows, long long width, long long pitch_a, long long pitch_b, long long pitch_to) {
    add_apart<Pack, PACK>((const Pack *)a, (const Pack *)b, (Pack *)to, rows, width, pitch_a, pitch_b, pitch_to);
}

extern "C" __global__ void add_rows_single(
    const T *a, const T *b, T *to, long long rows, long long width, long long pitch_a, long long pitch_b, long long pitch_to) {
    add_apart<T, 1>(a, b, to, rows, width, pitch_a, pitch_b, pitch_to);
}
