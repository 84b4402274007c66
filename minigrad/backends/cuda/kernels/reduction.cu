// Sums along one axis of memory that is seen as (outer, length, inner). Blocks add up parts of the axis in A, and the same
// kernels, compiled for A, add up the parts. A thread reads 16 bytes at a time where the memory allows it, four times ahead.
// Which thread adds what is a matter of the shape alone, so that every run gives the same bits.

constexpr int THREADS = 256;
constexpr int AHEAD = 4;

// Numbers at distances of `step` from `at` on, the last of which ends before `end`, each added to a total of its own.
template <int WIDTH>
__device__ inline void add_up(const T* __restrict__ x, long long at, long long end, long long step, A (&total)[WIDTH]) {
    for (; at + (AHEAD - 1) * step + WIDTH <= end; at += AHEAD * step) {
        Numbers<WIDTH> ahead[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; k++) ahead[k] = load<WIDTH>(x + at + k * step);
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
#pragma unroll
            for (int i = 0; i < WIDTH; i++) total[i] += wide(ahead[k].item[i]);
    }
    for (; at + WIDTH <= end; at += step) {
        const Numbers<WIDTH> next = load<WIDTH>(x + at);
#pragma unroll
        for (int i = 0; i < WIDTH; i++) total[i] += wide(next.item[i]);
    }
}

// sums[o, p, i] = the sum of x[o, l, i] over the l of part p, which has `height` of them, divided by the divisor. Threads stand
// side by side along inner (x), under each other along length (y), and behind each other along outer (z); `tiles` blocks share
// a row of inner.
template <int WIDTH>
__device__ inline void sum_columns(const T* __restrict__ x, A* __restrict__ sums, long long outer, long long length,
                                   long long inner, int tiles, long long height, A divisor) {
    __shared__ A shared[WIDTH * THREADS];
    const int across = blockDim.x, down = blockDim.y, y = threadIdx.y;
    const int thread = (threadIdx.z * down + y) * across + threadIdx.x;
    const long long plane = (long long)(blockIdx.x / tiles) * blockDim.z + threadIdx.z;
    const long long column = ((long long)(blockIdx.x % tiles) * across + threadIdx.x) * WIDTH;
    const bool inside = plane < outer && column < inner;
    A total[WIDTH] = {};
    if (inside) {
        const long long first = blockIdx.y * height, last = min(first + height, length);
        add_up<WIDTH>(x + plane * length * inner, (first + y) * inner + column, last * inner, down * inner, total);
    }
    for (int half = down / 2; half > 0; half /= 2) {
        if (y >= half)
#pragma unroll
            for (int i = 0; i < WIDTH; i++) shared[i * THREADS + thread] = total[i];
        __syncthreads();
        if (y < half)
#pragma unroll
            for (int i = 0; i < WIDTH; i++) total[i] += shared[i * THREADS + thread + half * across];
        __syncthreads();
    }
    if (inside && y == 0)
#pragma unroll
        for (int i = 0; i < WIDTH; i++) sums[(plane * gridDim.y + blockIdx.y) * inner + column + i] = total[i] / divisor;
}

// The same for inner = 1: sums[o, p] = the sum of x[o, l] over part p. Threads stand side by side along length (x), and under
// each other along outer (y). What packs do not fill of a part is read one by one.
template <int WIDTH>
__device__ inline void sum_rows(const T* __restrict__ x, A* __restrict__ sums, long long outer, long long length,
                                long long height, A divisor) {
    __shared__ A shared[THREADS];
    const int across = blockDim.x, thread = threadIdx.y * across + threadIdx.x;
    const long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    A total[WIDTH] = {};
    if (row < outer) {
        const long long first = blockIdx.y * height, last = min(first + height, length);
        const T* from = x + row * length;
        add_up<WIDTH>(from, first + threadIdx.x * WIDTH, last, across * WIDTH, total);
        for (long long at = last - (last - first) % WIDTH + threadIdx.x; at < last; at += across) total[0] += wide(from[at]);
    }
    A sum = total[0];
#pragma unroll
    for (int i = 1; i < WIDTH; i++) sum += total[i];
    for (int half = across / 2; half >= 32; half /= 2) {
        shared[thread] = sum;
        __syncthreads();
        if (threadIdx.x < half) sum += shared[thread + half];
        __syncthreads();
    }
    for (int distance = min(across, 32) / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffff, sum, distance);
    if (row < outer && threadIdx.x == 0) sums[row * gridDim.y + blockIdx.y] = sum / divisor;
}

extern "C" __global__ void __launch_bounds__(256, 4)
column_sums_packed(const T* __restrict__ x, A* __restrict__ sums, long long outer, long long length, long long inner, int tiles,
            long long height, A divisor) {
    sum_columns<PACK>(x, sums, outer, length, inner, tiles, height, divisor);
}

extern "C" __global__ void __launch_bounds__(256)
column_sums_single(const T* __restrict__ x, A* __restrict__ sums, long long outer, long long length, long long inner, int tiles,
                   long long height, A divisor) {
    sum_columns<1>(x, sums, outer, length, inner, tiles, height, divisor);
}

extern "C" __global__ void __launch_bounds__(256)
row_sums_packed(const T* __restrict__ x, A* __restrict__ sums, long long outer, long long length, long long height, A divisor) {
    sum_rows<PACK>(x, sums, outer, length, height, divisor);
}

extern "C" __global__ void __launch_bounds__(256)
row_sums_single(const T* __restrict__ x, A* __restrict__ sums, long long outer, long long length, long long height, A divisor) {
    sum_rows<1>(x, sums, outer, length, height, divisor);
}
