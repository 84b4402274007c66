// What a convolution by matrix products needs besides the products: windows written out as the rows of a matrix ("im2col"),
// its adjoint, in which every pixel gathers what is its own, without atomics ("col2im"), and weights with their channels last.
//
// Planes lie in memory as (N, H, W, C), each pixel `pitch` numbers after the last. A row of the matrix is one window: group after
// group, and within a group (KH, KW, C/G), filled up with zeros to `depth` numbers, so that every row starts on 16 bytes.

struct Windows {  // convolution.py packs it
    int H, W, C, G;
    int KH, KW, OH, OW;
    int SH, SW, top, left, DH, DW;
    int depth, pitch;
};

// A thread keeps its place in the row and goes down the rows: blockDim.x places side by side, blockDim.y rows at a time. Item is
// T, or a Pack where the channels of a group are a multiple of it; widths and places are counted in items.
template <class Item> __device__ inline void write_windows(const T *planes, T *matrix, const Windows &g, int rows) {
    constexpr int ITEMS = sizeof(Item) / sizeof(T);
    int depth = g.depth / ITEMS, channels = g.C / g.G / ITEMS, width = g.G * depth;
    int place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place >= width) return;
    int group = place / depth, within = place % depth, tap = within / channels;
    int down = tap / g.KW * g.DH - g.top, right = tap % g.KW * g.DW - g.left;
    bool filler = tap >= g.KH * g.KW;
    int channel = (group * channels + within % channels) * ITEMS;
    for (int row = blockIdx.y * blockDim.y + threadIdx.y; row < rows; row += gridDim.y * blockDim.y) {
        int image = row / (g.OH * g.OW), window = row % (g.OH * g.OW);
        int h = window / g.OW * g.SH + down, w = window % g.OW * g.SW + right;
        Item value = {};
        if (!filler && h >= 0 && h < g.H && w >= 0 && w < g.W)
            value = *(const Item *)(planes + (size_t(image) * g.H * g.W + h * g.W + w) * g.pitch + channel);
        ((Item *)matrix)[size_t(row) * width + place] = value;
    }
}

extern "C" __global__ void windows_packed(const T *planes, T *matrix, Windows g, int rows) {
    write_windows<Pack>(planes, matrix, g, rows);
}

extern "C" __global__ void windows_single(const T *planes, T *matrix, Windows g, int rows) {
    write_windows<T>(planes, matrix, g, rows);
}

// The sum of all rows' numbers that came from this pixel, for ITEMS channels from `channel` on.
template <int ITEMS> __device__ inline void gather(const A *matrix, const Windows &g, int pixel, int channel, A *sum) {
    int plane = g.H * g.W, image = pixel / plane, h = pixel % plane / g.W + g.top, w = pixel % g.W + g.left;
    int channels = g.C / g.G, group = channel / channels;
    for (int i = 0; i < ITEMS; ++i) sum[i] = 0;
    for (int kh = 0; kh < g.KH; ++kh) {
        int down = h - kh * g.DH, oh = down / g.SH;
        if (down < 0 || oh >= g.OH || oh * g.SH != down) continue;
        for (int kw = 0; kw < g.KW; ++kw) {
            int right = w - kw * g.DW, ow = right / g.SW;
            if (right < 0 || ow >= g.OW || ow * g.SW != right) continue;
            size_t row = (size_t(image) * g.OH + oh) * g.OW + ow;
            const A *from = matrix + (row * g.G + group) * g.depth + (kh * g.KW + kw) * channels + channel % channels;
#pragma unroll
            for (int i = 0; i < ITEMS; ++i) sum[i] += from[i];
        }
    }
}

// One thread per pixel and 16 bytes of what is summed (the matrix is in A: sums of float16 would be rounded at each step).
template <int ITEMS> __device__ inline void fold_windows(const A *matrix, T *planes, const Windows &g, int pixels) {
    int parts = g.C / ITEMS;
    for (size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x; i < size_t(pixels) * parts; i += size_t(gridDim.x) * blockDim.x) {
        int pixel = int(i / parts), channel = int(i % parts) * ITEMS;
        A sum[ITEMS];
        gather<ITEMS>(matrix, g, pixel, channel, sum);
#pragma unroll
        for (int j = 0; j < ITEMS; ++j) planes[size_t(pixel) * g.C + channel + j] = narrow<T>(sum[j]);
    }
}

extern "C" __global__ void fold_packed(const A *matrix, T *planes, Windows g, int pixels) {
    fold_windows<16 / sizeof(A)>(matrix, planes, g, pixels);
}

extern "C" __global__ void fold_single(const A *matrix, T *planes, Windows g, int pixels) {
    fold_windows<1>(matrix, planes, g, pixels);
}

// Weights are (OC, C/G, KH·KW) with `channels` = C/G. The convolution may be computed with fewer and wider groups than it has:
// `merged` groups as one, of `width` channels, whose weights are zero between channels that do not meet. Channels may be filled up.
struct Weights { int rows, channels, taps, width, depth, merged, outputs; };  // outputs: of one group

// Where in the weights (row, channel of the wide group, tap) is; -1 for a filler.
__device__ inline int place_of(const Weights &g, int row, int channel, int tap) {
    int own = channel - row / g.outputs % g.merged * g.channels;
    return own < 0 || own >= g.channels || tap >= g.taps ? -1 : (row * g.channels + own) * g.taps + tap;
}

// To (OC, KH·KW, width), each row filled up with zeros to `depth` numbers.
extern "C" __global__ void weights_last(const T *weights, T *matrix, Weights g) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < g.rows * g.depth; i += gridDim.x * blockDim.x) {
        int place = place_of(g, i / g.depth, i % g.depth % g.width, i % g.depth / g.width);
        matrix[i] = place < 0 ? narrow<T>(0) : weights[place];
    }
}

// To (groups, width, KH·KW, outputs of the wide group).
extern "C" __global__ void weights_turned(const T *weights, T *matrix, Weights g) {
    int outputs = g.outputs * g.merged;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < g.rows * g.width * g.taps; i += gridDim.x * blockDim.x) {
        int output = i % outputs, tap = i / outputs % g.taps, channel = i / outputs / g.taps % g.width;
        int place = place_of(g, i / (outputs * g.taps * g.width) * outputs + output, channel, tap);
        matrix[i] = place < 0 ? narrow<T>(0) : weights[place];
    }
}

// From (OC, KH·KW, width), with rows of `depth` numbers, back to (OC, C/G, KH·KW).
extern "C" __global__ void weights_first(const A *matrix, T *weights, Weights g) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < g.rows * g.channels * g.taps; i += gridDim.x * blockDim.x) {
        int row = i / (g.channels * g.taps), channel = i / g.taps % g.channels + row / g.outputs % g.merged * g.channels;
        weights[i] = narrow<T>(matrix[size_t(row) * g.depth + i % g.taps * g.width + channel]);
    }
}
