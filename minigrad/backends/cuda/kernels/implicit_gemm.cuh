// Convolution as a matrix product on tensor cores, over windows that are never written down: every thread copies 16 bytes of
// channels from where they lie in the planes to a tile in shared memory, and warps multiply tiles with mma.sync, whose sums are
// float. Floats are rounded to TF32 or, where a kernel is EXACT, multiplied as they are.
// A tile's kernel serves the output and the gradient by the input; the gradient by the weights is cut along its long sum, into
// parts that a last kernel adds in order. Which tiles there are is said in implicit_gemm.cu and exact_gemm.cu.

template <bool EXACT, int MI, int NI>
__device__ inline void multiply(float (&sum)[MI][NI][4], unsigned (&a)[MI][4], unsigned (&b)[NI][2]) {
    if constexpr (EXACT) multiply_exactly(sum, a, b);
    else if constexpr (sizeof(T) == 4) multiply_rounded(sum, a, b);
    else multiply_pairs(sum, a, b);
}

template <class Copy> __device__ inline void copy_all(Copy copy) {
#pragma unroll
    for (int quarter = 0; quarter < 4; quarter++) copy(quarter);
}

// sum += windows × weights for one step and one warp's part of a tile, MI × 16 rows and NI × 8 columns. `copy` issues a quarter
// of the copies of a step to come, so that they do not hold up the products; exact ones have no registers left to mix with.
template <bool EXACT, int MI, int NI, class Copy>
__device__ inline void multiply_tiles(float (&sum)[MI][NI][4], const char* windows, const char* weights, Copy copy) {
    const int lane = threadIdx.x % 32;
    const char* left = windows + lane % 16 * ROW;
    const char* right = weights + (lane % 8 + lane / 16 * 8) * ROW;
    const int left_chunk = (lane / 16 ^ lane % 8) * 16, right_chunk = (lane / 8 % 2 ^ lane % 8) * 16;
    if (EXACT) copy_all(copy);
#pragma unroll(EXACT ? 1 : 4)
    for (int k = 0; k < 4; k++) {
        unsigned a[MI][4], b[NI][2];
#pragma unroll
        for (int i = 0; i < MI; i++) load_matrices(a[i], left + i * 16 * ROW + (left_chunk ^ k * 32));
#pragma unroll
        for (int j = 0; j < NI; j += 2) {
            unsigned two[4];
            load_matrices(two, right + j * 8 * ROW + (right_chunk ^ k * 32));
            b[j][0] = two[0], b[j][1] = two[1], b[j + 1][0] = two[2], b[j + 1][1] = two[3];
        }
        if (!EXACT) copy(k);
        multiply<EXACT>(sum, a, b);
    }
}

template <bool EXACT, int BM, int BN, int WARPS_M, int WARPS_N, int STAGES>
__device__ inline void convolve(const T* source, const T* weight, const T* bias, T* target, const Sizes& sizes, bool backward) {
    constexpr int THREADS = WARPS_M * WARPS_N * 32, MI = BM / WARPS_M / 16, NI = BN / WARPS_N / 8, STAGE = (BM + BN) * ROW;
    const auto& [N, H, W, C, OH, OW, OC, KH, KW, SH, SW, PH, PW, DH, DW, pitch, output_pitch] = sizes;
    const Planes input = {H, W, C, pitch}, output = {OH, OW, OC, output_pitch};
    const Planes from = backward ? output : input, to = backward ? input : output;
    const int phase = blockIdx.y, group = blockIdx.z;
    const Axis h = backward ? backward_axis(H, KH, SH, PH, DH, phase / SW) : forward_axis(OH, KH, SH, PH, DH);
    const Axis w = backward ? backward_axis(W, KW, SW, PW, DW, phase % SW) : forward_axis(OW, KW, SW, PW, DW);
    const int across = (to.C + BN - 1) / BN, count = N * h.places * w.places;
    const int first_row = blockIdx.x / across * BM, first_column = blockIdx.x % across * BN, left = to.C - first_column;
    if (first_row >= count) return;
    Rows<BM>& rows = *(Rows<BM>*)memory;
    find_rows(rows, h, w, first_row, count, from, to);
    __syncthreads();

    const int length = KH * KW * from.C, steps = (h.taps * w.taps * from.C + DEPTH - 1) / DEPTH;
    const long long first_weight = (long long)(group * to.C + first_column) * length;
    TileCopy<BM, BN, THREADS> tiles(rows, source + group * from.C, weight + first_weight, from, KW, length, left);
    char* stages = (char*)memory + sizeof(Rows<BM>);
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        tiles.begin(h, w);
        copy_all([&](int quarter) { tiles.copy(stages + s * STAGE, quarter); });
        copy_async_commit();
    }

    const int warp = threadIdx.x / 32, row = warp / WARPS_N * MI * 16, column = warp % WARPS_N * NI * 8;
    float sum[MI][NI][4] = {};
    for (int step = 0, slot = 0, next = STAGES - 1; step < steps; step++) {
        copy_async_wait<STAGES - 2>();
        __syncthreads();
        const char* stage = stages + slot * STAGE;
        tiles.begin(h, w);
        multiply_tiles<EXACT>(sum, stage + row * ROW, stage + (BM + column) * ROW,
                              [&](int quarter) { tiles.copy(stages + next * STAGE, quarter); });
        copy_async_commit();
        slot = slot + 1 == STAGES ? 0 : slot + 1;
        next = next + 1 == STAGES ? 0 : next + 1;
    }
    copy_async_wait<0>();
    __syncthreads();

    T* tile = (T*)stages;
    const T* biases = bias ? bias + group * to.C + first_column : nullptr;
#pragma unroll
    for (int i = 0; i < MI; i++) keep_sums<NI, BN>(tile, sum[i], biases, row + i * 16, column, left);
    __syncthreads();
    write_tile<BM, BN>(target + group * to.C + first_column, tile, rows.target, to.pitch, left);
}

// Grid: x counts tiles, those of the same rows side by side; y the phases of the gradient by the input; z groups.
#define CONVOLVE(EXACT, BM, BN, WARPS_M, WARPS_N, STAGES, BLOCKS)                                                              \
    extern "C" __global__ void __launch_bounds__(WARPS_M* WARPS_N * 32, BLOCKS) convolve_##BM##x##BN(                          \
        const T* __restrict__ source, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ target,        \
        Sizes sizes, int backward) {                                                                                           \
        convolve<EXACT, BM, BN, WARPS_M, WARPS_N, STAGES>(source, weight, bias, target, sizes, backward);                      \
    }

// Copies tiles of the output's gradient (DEPTH, BM) and of windows (DEPTH, BN), whose rows are output's pixels. A thread has
// the same 16 bytes of channels, and for windows the same tap, in pixels that are STRIDE apart.
template <int BM, int BN, int THREADS> struct PixelCopy {
    static constexpr int GRAD_CHUNKS = BM / PACK, GRAD_STRIDE = THREADS / GRAD_CHUNKS, GRADS = DEPTH / GRAD_STRIDE;
    static constexpr int CHUNKS = BN / PACK, STRIDE = THREADS / CHUNKS, WINDOWS = DEPTH / STRIDE;
    const T *grad, *source;
    Sizes s;
    int grad_left, left, y, x, n, row, column, next_n, next_row, next_column;
    char *grad_place, *place;

    __device__ PixelCopy(const T* grad, const T* source, const Sizes& s, int first, int last, int first_channel, int first_tap)
        : s(s) {
        const int grad_row = threadIdx.x / GRAD_CHUNKS, channel = threadIdx.x % GRAD_CHUNKS * PACK;
        grad_left = first_channel + channel < s.OC ? last - first - grad_row : 0;
        this->grad = grad + ((long long)(first + grad_row) * s.output_pitch + blockIdx.z * s.OC + first_channel + channel);
        grad_place = (char*)memory + (grad_row * (BM + PAD) + channel) * sizeof(T);

        const int window = threadIdx.x / CHUNKS, number = threadIdx.x % CHUNKS * PACK, m = first + window;
        const int k = first_tap + number, tap = k / s.C;
        left = k < s.KH * s.KW * s.C ? last - m : 0;
        n = m / s.OW / s.OH, row = m / s.OW % s.OH, column = m % s.OW;
        next_n = STRIDE / s.OW / s.OH, next_row = STRIDE / s.OW % s.OH, next_column = STRIDE % s.OW;
        y = tap / s.KW * s.DH - s.PH, x = tap % s.KW * s.DW - s.PW;
        this->source = source + (blockIdx.z * s.C + k % s.C);
        place = (char*)memory + (DEPTH * (BM + PAD) + window * (BN + PAD) + number) * sizeof(T);
    }

    __device__ inline void copy(int slot, int quarter) {  // of the next DEPTH pixels; behind the last one are zeros
        constexpr int STAGE = DEPTH * (BM + BN + 2 * PAD) * sizeof(T);
#pragma unroll
        for (int i = quarter * GRADS / 4; i < (quarter + 1) * GRADS / 4; i++) {
            copy_async_16(grad_place + slot * STAGE + i * GRAD_STRIDE * (BM + PAD) * sizeof(T), grad, grad_left > 0);
            grad += GRAD_STRIDE * s.output_pitch;
            grad_left -= GRAD_STRIDE;
        }
#pragma unroll
        for (int i = quarter * WINDOWS / 4; i < (quarter + 1) * WINDOWS / 4; i++) {
            const int h = row * s.SH + y, w = column * s.SW + x;
            const bool real = left > 0 && unsigned(h) < unsigned(s.H) && unsigned(w) < unsigned(s.W);
            copy_async_16(place + slot * STAGE + i * STRIDE * (BN + PAD) * sizeof(T),
                          source + ((n * s.H + h) * s.W + w) * s.pitch, real);
            column += next_column, row += next_row, n += next_n, left -= STRIDE;
            if (column >= s.OW) column -= s.OW, row++;
            if (row >= s.OH) row -= s.OH, n++;
        }
    }
};

// sum += transposed grad × windows for one step and one warp, where rows of tiles are pixels; as multiply_tiles.
template <bool EXACT, int BM, int BN, int MI, int NI, class Copy>
__device__ inline void multiply_pixels(float (&sum)[MI][NI][4], const T* grad, const T* windows, Copy copy) {
    const int lane = threadIdx.x % 32;
    if (EXACT) copy_all(copy);
#pragma unroll(EXACT ? 1 : 4)
    for (int quarter = 0; quarter < 4; quarter++) {
        const int k = quarter * DEPTH / 4;
        unsigned a[MI][4], b[NI][2];
        if constexpr (sizeof(T) == 4) {
            const T* left = grad + (k + lane % 4) * (BM + PAD) + lane / 4 * 2;
            const T* right = windows + (k + lane % 4) * (BN + PAD) + lane / 4;
#pragma unroll
            for (int half = 0; half < 2; half++) {  // pixels 0 to 3, then 4 to 7
#pragma unroll
                for (int i = 0; i < MI; i++) {  // two neighbours at once: tensor cores do not mind which row is which
                    const uint2 two = *(const uint2*)(left + half * 4 * (BM + PAD) + i * 16);
                    a[i][half * 2] = two.x, a[i][half * 2 + 1] = two.y;
                }
#pragma unroll
                for (int j = 0; j < NI; j++) b[j][half] = *(const unsigned*)(right + half * 4 * (BN + PAD) + j * 8);
            }
        } else {
            const T* left = grad + (k + lane % 8 + lane / 16 * 8) * (BM + PAD) + lane / 8 % 2 * 8;
            const T* right = windows + (k + lane % 16) * (BN + PAD) + lane / 16 * 8;
#pragma unroll
            for (int i = 0; i < MI; i++) load_transposed(a[i], left + i * 16);
#pragma unroll
            for (int j = 0; j < NI; j += 2) {
                unsigned two[4];
                load_transposed(two, right + j * 8);
                b[j][0] = two[0], b[j][1] = two[1], b[j + 1][0] = two[2], b[j + 1][1] = two[3];
            }
        }
        if (!EXACT) copy(quarter);
        multiply<EXACT>(sum, a, b);
    }
}

// A warp's sums into a part (OC, KH·KW·C).
template <int MI, int NI>
__device__ inline void write_sums(float* part, const float (&sum)[MI][NI][4], int rows, int columns, int pitch) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < MI * 2; i++) {
        // The row as multiply_pixels read it.
        const int row = i / 2 * 16 + (sizeof(T) == 4 ? lane / 4 * 2 + i % 2 : lane / 4 + i % 2 * 8);
        if (row >= rows) continue;
        float* to = part + (long long)row * pitch;
#pragma unroll
        for (int j = 0; j < NI; j++) {
            const int column = j * 8 + lane % 4 * 2;
            const float* two = sum[i / 2][j] + i % 2 * 2;
            if (column < columns) *(float2*)(to + column) = make_float2(two[0], two[1]);
        }
    }
}

template <bool EXACT, int BM, int BN, int WARPS_M, int WARPS_N, int STAGES>
__device__ inline void weight_grad(const T* grad, const T* source, float* parts, const Sizes& s, int part) {
    constexpr int THREADS = WARPS_M * WARPS_N * 32, MI = BM / WARPS_M / 16, NI = BN / WARPS_N / 8;
    constexpr int STAGE = DEPTH * (BM + BN + 2 * PAD);
    const int length = s.KH * s.KW * s.C, across = (length + BN - 1) / BN;
    const int first_row = blockIdx.x / across * BM, first_column = blockIdx.x % across * BN;
    const int first = blockIdx.y * part, last = min(s.N * s.OH * s.OW, first + part);
    PixelCopy<BM, BN, THREADS> tiles(grad, source, s, first, last, first_row, first_column);
    const int steps = (last - first + DEPTH - 1) / DEPTH;
#pragma unroll
    for (int i = 0; i < STAGES - 1; i++) {
        copy_all([&](int quarter) { tiles.copy(i, quarter); });
        copy_async_commit();
    }

    const int warp = threadIdx.x / 32, row = warp / WARPS_N * MI * 16, column = warp % WARPS_N * NI * 8;
    float sum[MI][NI][4] = {};
    for (int step = 0, slot = 0, next = STAGES - 1; step < steps; step++) {
        copy_async_wait<STAGES - 2>();
        __syncthreads();
        const T* stage = (const T*)memory + slot * STAGE;
        multiply_pixels<EXACT, BM, BN>(sum, stage + row, stage + DEPTH * (BM + PAD) + column,
                                       [&](int quarter) { tiles.copy(next, quarter); });
        copy_async_commit();
        slot = slot + 1 == STAGES ? 0 : slot + 1;
        next = next + 1 == STAGES ? 0 : next + 1;
    }
    copy_async_wait<0>();
    const long long at = (long long)((blockIdx.y * gridDim.z + blockIdx.z) * s.OC + first_row + row) * length;
    write_sums<MI, NI>(parts + at + first_column + column, sum, s.OC - first_row - row, length - first_column - column, length);
}

// Grid: x counts tiles, those of the same output channels side by side; y the parts of the sum over pixels; z groups.
#define WEIGHT_GRAD(EXACT, BM, BN, WARPS_M, WARPS_N, STAGES, BLOCKS)                                                           \
    extern "C" __global__ void __launch_bounds__(WARPS_M* WARPS_N * 32, BLOCKS) weight_grad_##BM##x##BN(                       \
        const T* __restrict__ grad, const T* __restrict__ source, float* __restrict__ parts, Sizes sizes, int part) {          \
        weight_grad<EXACT, BM, BN, WARPS_M, WARPS_N, STAGES>(grad, source, parts, sizes, part);                                \
    }

// Adds the parts (count, OC, taps, C), the first one first, and writes (OC, C, taps). A block has 32 channels of an output
// channel, and its result goes through shared memory, so that threads read neighbouring channels and write neighbouring taps.
extern "C" __global__ void __launch_bounds__(256) add_parts(const float* __restrict__ parts, T* __restrict__ result, int count,
                                                            int OC, int taps, int C) {
    float* tile = (float*)memory;  // (32, taps)
    const int blocks = (C + 31) / 32, oc = blockIdx.x / blocks, first = blockIdx.x % blocks * 32, channels = min(32, C - first);
    const int lane = threadIdx.x % 32;
    const long long size = (long long)OC * taps * C;
    for (int tap = threadIdx.x / 32; tap < taps && lane < channels; tap += blockDim.x / 32) {
        const float* from = parts + ((long long)oc * taps + tap) * C + first + lane;
        float sum = 0;
#pragma unroll 8
        for (int i = 0; i < count; i++) sum += from[i * size];
        tile[lane * taps + tap] = sum;
    }
    __syncthreads();
    T* to = result + ((long long)oc * C + first) * taps;
    for (int i = threadIdx.x; i < channels * taps; i += blockDim.x) to[i] = narrow<T>(tile[i]);
}
