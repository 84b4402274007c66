// Rows of numbers (rows, C). The threads of one row are a warp, of which a block has several, or a whole block where rows are long.
// Sums go over lanes by shuffles and over warps through shared memory, in a fixed order, and reach all threads of the row.

__device__ inline A infinity() { return A(1) / A(0); }
__device__ inline A not_a_number() { return infinity() - infinity(); }

__device__ inline A row_sum(A value) {
    __shared__ A of_warps[32];
#pragma unroll
    for (int step = 16; step; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
    if (blockDim.x == 32) return value;
    __syncthreads();  // nobody reads the last sum any more
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0;
    for (int warp = 0; warp < blockDim.x / 32; warp++) value += of_warps[warp];
    return value;
}

__device__ inline A row_max(A value) {
    __shared__ A of_warps[32];
#pragma unroll
    for (int step = 16; step; step /= 2) value = fmax(value, __shfl_xor_sync(0xffffffffu, value, step));
    if (blockDim.x == 32) return value;
    __syncthreads();
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
    __syncthreads();
    for (int warp = 0; warp < blockDim.x / 32; warp++) value = fmax(value, of_warps[warp]);
    return value;
}

#define ROW (blockIdx.x * blockDim.y + threadIdx.y)
#define EACH_PACK(c) for (int c = threadIdx.x * WIDTH; c < C; c += blockDim.x * WIDTH)

// The largest number of a row, and the sum of exp(x - largest), in one reading: every thread keeps a running maximum, by which its
// sum so far is scaled ("online softmax", Milakov and Gimelshein 2018).
template <int WIDTH> __device__ inline void largest_and_sum(const T* __restrict__ x, int C, A& largest, A& sum) {
    A own = -infinity();
    sum = 0;
    EACH_PACK(c) {
        const Numbers<WIDTH> scores = load<WIDTH>(x + c);
        A highest = own;
#pragma unroll
        for (int k = 0; k < WIDTH; k++) highest = fmax(highest, wide(scores.item[k]));
        if (highest > own) sum *= exp(own - highest), own = highest;
#pragma unroll
        for (int k = 0; k < WIDTH; k++) {
            const A score = wide(scores.item[k]);
            if (score != -infinity()) sum += exp(score - own);
        }
    }
    largest = row_max(own);
    sum = row_sum(own == largest ? sum : sum * exp(own - largest));
}

// A kernel in two forms: for rows of whole packs that begin where a pack can, and for all others.
#define IN_PACKS_AND_SINGLY(name, parameters, arguments) \
    extern "C" __global__ void name##_packed parameters { name<PACK> arguments; } \
    extern "C" __global__ void name##_single parameters { name<1> arguments; }

