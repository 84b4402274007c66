// Copies from one memory order to another: planes to channels last, and columns of a wider matrix.

// (N, C, P) -> (N, P, C), by tiles in shared memory, so that both are read and written along their last axis.
// Blocks are 32 × 8 threads; the grid is (P / 32, C / 32, N), or as many images as a grid can have, which then take turns.
extern "C" __global__ void channels_last(const T *from, T *to, int C, int P, int N) {
    __shared__ T tile[32][33];
    int pixel = blockIdx.x * 32 + threadIdx.x, channel = blockIdx.y * 32 + threadIdx.x;
    for (int n = blockIdx.z; n < N; n += gridDim.z) {
        size_t image = size_t(n) * C * P;
        for (int i = threadIdx.y; i < 32; i += 8)
            if (blockIdx.y * 32 + i < C && pixel < P)
                tile[i][threadIdx.x] = from[image + size_t(blockIdx.y * 32 + i) * P + pixel];
        __syncthreads();
        for (int i = threadIdx.y; i < 32; i += 8)
            if (blockIdx.x * 32 + i < P && channel < C)
                to[image + size_t(blockIdx.x * 32 + i) * C + channel] = tile[threadIdx.x][i];
        __syncthreads();
    }
}

// (N, C, P) -> (N, P, width) for few channels, with zeros behind them: a thread reads a pixel's and writes them side by side.
extern "C" __global__ void few_channels_last(const T *from, T *to, int C, int P, int pixels, int width) {
    for (int pixel = blockIdx.x * blockDim.x + threadIdx.x; pixel < pixels; pixel += gridDim.x * blockDim.x) {
        size_t first = size_t(pixel / P) * C * P + pixel % P;
        for (int channel = 0; channel < width; ++channel)
            to[size_t(pixel) * width + channel] = channel < C ? from[first + size_t(channel) * P] : narrow<T>(0);
    }
}

// Rows of `width` items, which lie `from_pitch` and `to_pitch` items apart; an item is T, or 16 bytes of it.
template <class Item>
__device__ inline void copy_rows(
    const Item *from, Item *to, long long rows, long long width, long long from_pitch, long long to_pitch) {
    size_t all = size_t(rows) * width;
    for (size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x; i < all; i += size_t(gridDim.x) * blockDim.x) {
        size_t row = i / width, column = i - row * width;
        to[row * to_pitch + column] = from[row * from_pitch + column];
    }
}

extern "C" __global__ void rows_packed(
    const T *from, T *to, long long rows, long long width, long long from_pitch, long long to_pitch) {
    copy_rows((const Pack *)from, (Pack *)to, rows, width, from_pitch, to_pitch);
}

extern "C" __global__ void rows_single(
    const T *from, T *to, long long rows, long long width, long long from_pitch, long long to_pitch) {
    copy_rows(from, to, rows, width, from_pitch, to_pitch);
}
