// Pooling over planes (N, H, W, C), channels last. A thread makes some channels of one pixel: of the output, from the taps of
// its window; or of the input's gradient, from all windows that its pixel lies in ("gather"). So no two threads add to one
// place, and every sum has a fixed order. A block is as wide as a line's pixels and their channels, and some lines high, so
// that its accesses are to neighbours.

__device__ inline A infinity() { return A(1) / A(0); }

struct Span { int first, end; };

// The windows over one axis of a plane.
struct Axis {
    int size, windows, taps, stride, before, dilation;

    __device__ int start(int window) const { return window * stride - before; }
    __device__ int at(int window, int tap) const { return start(window) + tap * dilation; }
    // The taps of a window that are not in the padding.
    __device__ Span taps_inside(int window) const {
        const int first = start(window);
        return {first < 0 ? (dilation - 1 - first) / dilation : 0, min(taps, (size - first + dilation - 1) / dilation)};
    }
    // The windows that may have a tap on a place.
    __device__ Span windows_at(int place) const {
        const int padded = place + before, reach = padded - (taps - 1) * dilation;
        return {reach > 0 ? (reach + stride - 1) / stride : 0, padded < 0 ? 0 : min(windows, padded / stride + 1)};
    }
    // Which tap a window has on a place, -1 if none: the place lies between two.
    __device__ int tap_at(int window, int place) const {
        const int distance = place - start(window);
        if (dilation == 1) return distance;
        return distance % dilation ? -1 : distance / dilation;
    }
};

#define AXES int H, int OH, int KH, int SH, int top, int DH, int W, int OW, int KW, int SW, int left, int DW
#define ROWS Axis{H, OH, KH, SH, top, DH}
#define COLUMNS Axis{W, OW, KW, SW, left, DW}

// The channels and the pixel of a line that a thread works on; false if there are none.
template <int WIDTH> __device__ inline bool find(int C, int pixels, int& pixel, int& channel) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    pixel = i / (C / WIDTH), channel = i % (C / WIDTH) * WIDTH;
    return pixel < pixels;
}
#define EACH_LINE(line, lines) \
    for (int line = blockIdx.y * blockDim.y + threadIdx.y; line < lines; line += gridDim.y * blockDim.y)

// Taps are numbered in bytes, or in ints if a window has too many; one of the pointers is null, or both are.
template <int WIDTH>
__device__ inline void max_pool(const T* __restrict__ x, T* __restrict__ y, unsigned char* __restrict__ bytes,
                                int* __restrict__ numbers, int N, int C, Axis rows, Axis columns) {
    int pixel, channel;
    if (!find<WIDTH>(C, columns.windows, pixel, channel)) return;
    const Span across = columns.taps_inside(pixel);
    EACH_LINE(line, N * rows.windows) {
        const int n = line / rows.windows, row = line % rows.windows;
        A largest[WIDTH];
        int tap[WIDTH];
        const Span down = rows.taps_inside(row);
        const bool any = down.first < down.end && across.first < across.end;
        const int first = any ? down.first * columns.taps + across.first : 0;  // the padding is never the largest
        for (int k = 0; k < WIDTH; k++) largest[k] = -infinity(), tap[k] = first;
        for (int u = down.first; u < down.end; u++) {
            const T* source = x + ((long long)n * rows.size + rows.at(row, u)) * columns.size * C + channel;
#pragma unroll 4
            for (int v = across.first; v < across.end; v++) {
                const Numbers<WIDTH> here = load<WIDTH>(source + columns.at(pixel, v) * C);
#pragma unroll
                for (int k = 0; k < WIDTH; k++) {
                    const A value = wide(here.item[k]);
                    const bool first_nan = value != value && largest[k] == largest[k];
                    if (value > largest[k] || first_nan) largest[k] = value, tap[k] = u * columns.taps + v;
                }
            }
        }
        const long long place = ((long long)line * columns.windows + pixel) * C + channel;
        Numbers<WIDTH> result;
        for (int k = 0; k < WIDTH; k++) result.item[k] = narrow<T>(largest[k]);
        store(y + place, result);
        if (bytes) {
            Numbers<WIDTH, unsigned char> chosen;
            for (int k = 0; k < WIDTH; k++) chosen.item[k] = (unsigned char)tap[k];
            store(bytes + place, chosen);
        } else if (numbers) {
            for (int k = 0; k < WIDTH; k++) numbers[place + k] = tap[k];
        }
    }
}

template <int WIDTH>
__device__ inline void max_pool_grad(const T* __restrict__ dy, const unsigned char* __restrict__ bytes,
                                     const int* __restrict__ numbers, T* __restrict__ dx, int N, int C, Axis rows,
                                     Axis columns) {
    int pixel, channel;
    if (!find<WIDTH>(C, columns.size, pixel, channel)) return;
    const Span across = columns.windows_at(pixel);
    EACH_LINE(line, N * rows.size) {
        const int n = line / rows.size, row = line % rows.size;
        A sum[WIDTH] = {};
        const Span down = rows.windows_at(row);
#pragma unroll 1
        for (int i = down.first; i < down.end; i++) {
            const int u = rows.tap_at(i, row);
#pragma unroll 1
            for (int j = across.first; j < across.end; j++) {
                const int v = columns.tap_at(j, pixel);
                if (u < 0 || v < 0) continue;
                const long long place = (((long long)n * rows.windows + i) * columns.windows + j) * C + channel;
                const Numbers<WIDTH> here = load<WIDTH>(dy + place);
                int tap[WIDTH];
                if (bytes) {
                    const Numbers<WIDTH, unsigned char> chosen = load<WIDTH>(bytes + place);
                    for (int k = 0; k < WIDTH; k++) tap[k] = chosen.item[k];
                } else {
                    for (int k = 0; k < WIDTH; k++) tap[k] = numbers[place + k];
                }
#pragma unroll
                for (int k = 0; k < WIDTH; k++) sum[k] += tap[k] == u * columns.taps + v ? wide(here.item[k]) : A(0);
            }
        }
        Numbers<WIDTH> result;
        for (int k = 0; k < WIDTH; k++) result.item[k] = narrow<T>(sum[k]);
        store(dx + ((long long)line * columns.size + pixel) * C + channel, result);
    }
}

// The divisors are an array (OH, OW), or null: then they are all one number.
template <int WIDTH>
__device__ inline void avg_pool(const T* __restrict__ x, T* __restrict__ y, const A* __restrict__ divisors, A divisor, int N,
                                int C, Axis rows, Axis columns) {
    int pixel, channel;
    if (!find<WIDTH>(C, columns.windows, pixel, channel)) return;
    const Span across = columns.taps_inside(pixel);
    EACH_LINE(line, N * rows.windows) {
        const int n = line / rows.windows, row = line % rows.windows;
        const A part = A(1) / (divisors ? divisors[row * columns.windows + pixel] : divisor);
        A sum[WIDTH] = {};
        const Span down = rows.taps_inside(row);
        for (int u = down.first; u < down.end; u++) {
            const T* source = x + ((long long)n * rows.size + rows.at(row, u)) * columns.size * C + channel;
#pragma unroll 4
            for (int v = across.first; v < across.end; v++) {
                const Numbers<WIDTH> here = load<WIDTH>(source + columns.at(pixel, v) * C);
#pragma unroll
                for (int k = 0; k < WIDTH; k++) sum[k] += wide(here.item[k]);
            }
        }
        Numbers<WIDTH> result;
        for (int k = 0; k < WIDTH; k++) result.item[k] = narrow<T>(sum[k] * part);
        store(y + ((long long)line * columns.windows + pixel) * C + channel, result);
    }
}

template <int WIDTH>
__device__ inline void avg_pool_grad(const T* __restrict__ dy, T* __restrict__ dx, const A* __restrict__ divisors, A divisor,
                                     int N, int C, Axis rows, Axis columns) {
    int pixel, channel;
    if (!find<WIDTH>(C, columns.size, pixel, channel)) return;
    const Span across = columns.windows_at(pixel);
    EACH_LINE(line, N * rows.size) {
        const int n = line / rows.size, row = line % rows.size;
        A sum[WIDTH] = {};
        const Span down = rows.windows_at(row);
        for (int i = down.first; i < down.end; i++) {
#pragma unroll 1
            for (int j = across.first; j < across.end; j++) {
                const A part = A(1) / (divisors ? divisors[i * columns.windows + j] : divisor);
                const long long place = (((long long)n * rows.windows + i) * columns.windows + j) * C + channel;
                const Numbers<WIDTH> here = load<WIDTH>(dy + place);
#pragma unroll
                for (int k = 0; k < WIDTH; k++) sum[k] += wide(here.item[k]) * part;
            }
        }
        Numbers<WIDTH> result;
        for (int k = 0; k < WIDTH; k++) result.item[k] = narrow<T>(sum[k]);
        store(dx + ((long long)line * columns.size + pixel) * C + channel, result);
    }
}

#define IN_PACKS_AND_SINGLY(name, parameters, arguments) \
    extern "C" __global__ void name##_packed parameters { name<PACK> arguments; } \
    extern "C" __global__ void name##_single parameters { name<1> arguments; }

IN_PACKS_AND_SINGLY(max_pool, (const T* x, T* y, unsigned char* bytes, int* numbers, int N, int C, AXES),
                    (x, y, bytes, numbers, N, C, ROWS, COLUMNS))
IN_PACKS_AND_SINGLY(max_pool_grad, (const T* dy, const unsigned char* bytes, const int* numbers, T* dx, int N, int C, AXES),
                    (dy, bytes, numbers, dx, N, C, ROWS, COLUMNS))
IN_PACKS_AND_SINGLY(avg_pool, (const T* x, T* y, const A* divisors, A divisor, int N, int C, AXES),
                    (x, y, divisors, divisor, N, C, ROWS, COLUMNS))
IN_PACKS_AND_SINGLY(avg_pool_grad, (const T* dy, T* dx, const A* divisors, A divisor, int N, int C, AXES),
                    (dy, dx, divisors, divisor, N, C, ROWS, COLUMNS))

// The elements that taps point to; 0 where that is the padding.
extern "C" __global__ void
    max_pool_gather(const T* __restrict__ x, const unsigned char* __restrict__ bytes, const int* __restrict__ numbers,
                    T* __restrict__ y, int N, int C, AXES) {
    const Axis rows = ROWS, columns = COLUMNS;
    int pixel, channel;
    if (!find<1>(C, OW, pixel, channel)) return;
    EACH_LINE(line, N * OH) {
        const long long place = ((long long)line * OW + pixel) * C + channel;
        const int tap = bytes ? bytes[place] : numbers[place];
        const int h = rows.at(line % OH, tap / KW), w = columns.at(pixel, tap % KW);
        const bool inside = h >= 0 && h < H && w >= 0 && w < W;
        y[place] = inside ? x[(((long long)(line / OH) * H + h) * W + w) * C + channel] : narrow<T>(A(0));
    }
}
