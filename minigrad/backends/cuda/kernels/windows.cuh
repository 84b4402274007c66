// What convolutions on tensor cores share: where a tile's windows lie, how they are copied to shared memory (cp.async, several
// steps ahead, zeros for the padding), and how a tile of the result is written. Planes are (N, H, W, C).
// The output is a convolution of the input, and the gradient by the input is one of the output's gradient for every phase of
// the stride: both take windows of a source, as rows of a matrix, times weights.

#ifndef MINIGRAD_EMULATED
__device__ inline unsigned shared_address(const void* pointer) { return unsigned(__cvta_generic_to_shared(pointer)); }

__device__ inline void copy_async_16(void* shared, const void* global, bool valid) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
                 "r"(valid ? 16 : 0) : "memory");
}

__device__ inline void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int N> __device__ inline void copy_async_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }
#endif

extern __shared__ Pack memory[];

// A convolution of N planes; C and OC are a group's channels, and pitches count all that lies from pixel to pixel.
struct Sizes { int N, H, W, C, OH, OW, OC, KH, KW, SH, SW, PH, PW, DH, DW, pitch, output_pitch; };

// As the kernels of forward and backward see it: from a source of windows to a target.
struct Planes { int H, W, C, pitch; };

constexpr int ROW = 128;              // the bytes of a step of the sum
constexpr int DEPTH = ROW / sizeof(T);  // and its length
constexpr int CHUNKS = ROW / 16;
constexpr int PAD = 8;                // numbers after a row of a result's tile, which keep its rows apart in the banks

// A dimension of a convolution: place i of the target is at first + i * step there, tap k of its window at start + i * stride +
// k * dilation in the source and at first_tap + k * tap_step in the weights.
struct Axis { int places, first, step, start, stride, dilation, taps, first_tap, tap_step; };

__device__ inline Axis forward_axis(int target, int kernel, int stride, int padding, int dilation) {
    return {target, 0, 1, -padding, stride, dilation, kernel, 0, 1};
}

// Input h took part in output (h + padding - k * dilation) / stride by tap k, where that is a whole number: the same taps for
// all inputs of a phase, h % stride.
__device__ inline Axis backward_axis(int target, int kernel, int stride, int padding, int dilation, int phase) {
    int common = stride;
    while (stride % common || dilation % common) common--;
    const int step = stride / common;
    int tap = 0;
    while (tap < step && (phase + padding - tap * dilation) % stride) tap++;
    const int taps = tap < step && tap < kernel ? (kernel - tap + step - 1) / step : 0;
    const int start = taps ? (phase + padding - tap * dilation) / stride : 0;
    return {(target - phase + stride - 1) / stride, phase, stride, start, 1, -dilation / common, taps, tap, step};
}

// The taps of a window that are inside the source, as bits.
__device__ inline unsigned taps_inside(const Axis& axis, int start, int size) {
    unsigned bits = 0;
    for (int k = 0; k < axis.taps; k++) bits |= unsigned(unsigned(start + k * axis.dilation) < unsigned(size)) << k;
    return bits;
}

constexpr unsigned NOWHERE = 1u << 31;  // a tap that is outside of everything: kernels have at most 15 rows and columns

// Where a tile's rows lie: their window's first tap in the source, its taps inside, and the target's pixel or -1.
template <int BM> struct Rows { int source[BM]; unsigned inside[BM]; int target[BM]; };

template <int BM> __device__ inline void find_rows(Rows<BM>& rows, const Axis& h, const Axis& w, int first, int count,
                                                   const Planes& from, const Planes& to) {
    for (int i = threadIdx.x; i < BM; i += blockDim.x) {
        const int m = first + i;
        const int column = m % w.places, row = m / w.places % h.places, n = m / w.places / h.places;
        const int y = h.start + row * h.stride, x = w.start + column * w.stride;
        const bool real = m < count;
        rows.source[i] = real ? (n * from.H + y) * from.W + x : 0;
        rows.inside[i] = real ? taps_inside(h, y, from.H) | taps_inside(w, x, from.W) << 16 : 0;
        rows.target[i] = real ? (n * to.H + h.first + row * h.step) * to.W + w.first + column * w.step : -1;
    }
}

// Copies tiles of windows (BM, DEPTH) and of weights (BN, DEPTH), one step of the sum after the other. A thread has the same
// 16 bytes of every row: chunk `chunk` lies at place chunk ^ row % 8 of its row, so that eight rows' chunks are in eight banks.
template <int BM, int BN, int THREADS> struct TileCopy {
    static constexpr int STRIDE = THREADS / CHUNKS, SOURCES = BM / STRIDE, WEIGHTS = BN / STRIDE;
    const T *source, *weight, *next_source, *next_weight;
    int offset[SOURCES];
    unsigned inside[SOURCES];
    unsigned tap;
    int C, pitch, W, KW, length, left, place, kh = 0, kw = 0, c;

    __device__ TileCopy(const Rows<BM>& rows, const T* source, const T* weight, const Planes& from, int KW, int length,
                        int left)
        : source(source), C(from.C), pitch(from.pitch), W(from.W), KW(KW), length(length) {
        const int row = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS;
        c = chunk * PACK;
        place = row * ROW + (chunk ^ row % 8) * 16;
        this->weight = weight + (long long)row * length;
        this->left = left - row;
#pragma unroll
        for (int i = 0; i < SOURCES; i++) {
            offset[i] = rows.source[row + i * STRIDE] * pitch;
            inside[i] = rows.inside[row + i * STRIDE];
        }
    }

    // Goes on to the next step; behind the last one are zeros.
    __device__ inline void begin(const Axis& h, const Axis& w) {
        while (c >= C) {
            c -= C;
            if (++kw == w.taps) kw = 0, kh++;
        }
        tap = kh < h.taps && w.taps ? 1u << kh | 1u << (16 + kw) : NOWHERE;
        next_source = source + ((kh * h.dilation * W + kw * w.dilation) * pitch + c);
        next_weight = weight + (((h.first_tap + kh * h.tap_step) * KW + w.first_tap + kw * w.tap_step) * C + c);
        c += DEPTH;
    }

    __device__ inline void copy(char* stage, int quarter) {
#pragma unroll
        for (int i = quarter * SOURCES / 4; i < (quarter + 1) * SOURCES / 4; i++)
            copy_async_16(stage + place + i * STRIDE * ROW, next_source + offset[i], (inside[i] & tap) == tap);
#pragma unroll
        for (int i = quarter * WEIGHTS / 4; i < (quarter + 1) * WEIGHTS / 4; i++)
            copy_async_16(stage + BM * ROW + place + i * STRIDE * ROW, next_weight + (long long)i * STRIDE * length,
                          tap != NOWHERE && i * STRIDE < left);
    }
};

// A warp's sums for 16 rows, plus the bias, as T into the block's tile (BM, BN + PAD). Lanes hold two neighbours of rows
// lane / 4 and lane / 4 + 8 of every 8 columns, as mma.sync and wgmma give them.
template <int NI, int BN>
__device__ inline void keep_sums(T* tile, const float (&sum)[NI][4], const T* bias, int row, int column, int left) {
    const int lane = threadIdx.x % 32;
    row += lane / 4;
    column += lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < NI; j++) {
        const int at = column + j * 8;
        const bool biased = bias && at < left;
        const float first = biased ? wide(bias[at]) : 0, second = biased ? wide(bias[at + 1]) : 0;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            T* to = tile + (row + i * 8) * (BN + PAD) + at;
            to[0] = narrow<T>(sum[j][i * 2] + first);
            to[1] = narrow<T>(sum[j][i * 2 + 1] + second);
        }
    }
}

template <int BM, int BN>
__device__ inline void write_tile(T* target, const T* tile, const int* pixels, int pitch, int left) {
    for (int i = threadIdx.x; i < BM * (BN / PACK); i += blockDim.x) {
        const int row = i / (BN / PACK), column = i % (BN / PACK) * PACK, pixel = pixels[row];
        if (pixel >= 0 && column < left)
            *(Pack*)(target + (long long)pixel * pitch + column) = *(const Pack*)(tile + row * (BN + PAD) + column);
    }
}

