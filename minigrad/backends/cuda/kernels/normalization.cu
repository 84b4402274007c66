// Normalization of a matrix in memory: per channel (batch norm on channels-last memory) and per row (layer norm). Per channel,
// a thread keeps its columns, with what it has to know of them, and goes down the rows of a part; a second, small kernel joins
// the statistics of the parts in a fixed order. Mean and variance take one pass: every thread keeps its own up to date, less a
// first number (Welford), and they are merged (Chan, Golub and LeVeque).

constexpr int THREADS = 256;
constexpr int AHEAD = 4;

// A number of a weight or a bias, whose type is A or T; without one (null), what stands for it.
__device__ inline A of_affine(const void* values, int is_wide, long long i, A missing) {
    if (!values) return missing;
    return is_wide ? static_cast<const A*>(values)[i] : A(wide(static_cast<const T*>(values)[i]));
}

// The rows [first, last) of a block's part, which has `height`, and the first of the thread's columns.
struct Place {
    long long first, last;
    int column;
    __device__ Place(long long rows, long long height, int width) {
        first = blockIdx.y * height;
        last = min(first + height, rows);
        column = (blockIdx.x * blockDim.x + threadIdx.x) * width;
        first += threadIdx.y;
    }
};

// Mean and sum of squared distances from it, of a number more, which is that share of all by now.
__device__ inline void include(A& mean, A& square, A share, A number) {
    const A distance = number - mean;
    mean += distance * share;
    square += distance * (number - mean);
}

// Of two samples, n and m numbers.
__device__ inline void merge(A& n, A& mean, A& square, A m, A other_mean, A other_square) {
    const A both = n + m, share = both > A(0) ? m / both : A(0), distance = other_mean - mean;
    mean += distance * share;
    square += other_square + distance * distance * (n * share);
    n = both;
}

// Merge what `count` threads of a block have, `stride` apart, count a power of two; the result is right in the first of them.
template <int WIDTH>
__device__ inline void merge_threads(A n, A (&mean)[WIDTH], A (&square)[WIDTH], int index, int count, int stride) {
    __shared__ A counts[THREADS], means[WIDTH * THREADS], squares[WIDTH * THREADS];
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    for (int half = count / 2; half > 0; half /= 2) {
        if (index >= half) {
            counts[thread] = n;
#pragma unroll
            for (int i = 0; i < WIDTH; i++) means[i * THREADS + thread] = mean[i], squares[i * THREADS + thread] = square[i];
        }
        __syncthreads();
        if (index < half) {
            const int other = thread + half * stride;
            A all = n;
#pragma unroll
            for (int i = 0; i < WIDTH; i++) {
                all = n;
                merge(all, mean[i], square[i], counts[other], means[i * THREADS + other], squares[i * THREADS + other]);
            }
            n = all;
        }
        __syncthreads();
    }
}

// The same for sums.
template <int COUNT> __device__ inline void add_threads(A (&total)[COUNT], int index, int count, int stride) {
    __shared__ A shared[COUNT * THREADS];
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    for (int half = count / 2; half > 0; half /= 2) {
        if (index >= half)
#pragma unroll
            for (int i = 0; i < COUNT; i++) shared[i * THREADS + thread] = total[i];
        __syncthreads();
        if (index < half)
#pragma unroll
            for (int i = 0; i < COUNT; i++) total[i] += shared[i * THREADS + thread + half * stride];
        __syncthreads();
    }
}

// --- per channel: a matrix of rows × width, in which column i belongs to channel i % C ---------------------------------------

__device__ inline int next_channel(int c, int C) { return c + 1 == C ? 0 : c + 1; }

// Of each part and column: parts[0] = the mean less the channel's first number, parts[1] = the sum of squared distances to it.
template <int WIDTH>
__device__ inline void channel_moments(const T* __restrict__ x, A* __restrict__ parts, long long rows, int width, int C,
                                       long long height) {
    const Place place(rows, height, WIDTH);
    A origin[WIDTH], mean[WIDTH] = {}, square[WIDTH] = {}, n = 0;
    if (place.column < width) {
        int c = place.column % C;
#pragma unroll
        for (int i = 0; i < WIDTH; i++, c = next_channel(c, C)) origin[i] = wide(x[c]);
        const T* from = x + place.column;
        const int down = blockDim.y;
        long long row = place.first;
        for (; row + (AHEAD - 1) * down < place.last; row += AHEAD * down) {
            Numbers<WIDTH> ahead[AHEAD];
#pragma unroll
            for (int k = 0; k < AHEAD; k++) ahead[k] = load<WIDTH>(from + (row + k * down) * width);
#pragma unroll
            for (int k = 0; k < AHEAD; k++) {
                const A share = A(1) / ++n;
#pragma unroll
                for (int i = 0; i < WIDTH; i++) include(mean[i], square[i], share, wide(ahead[k].item[i]) - origin[i]);
            }
        }
        for (; row < place.last; row += down) {
            const Numbers<WIDTH> next = load<WIDTH>(from + row * width);
            const A share = A(1) / ++n;
#pragma unroll
            for (int i = 0; i < WIDTH; i++) include(mean[i], square[i], share, wide(next.item[i]) - origin[i]);
        }
    }
    merge_threads<WIDTH>(n, mean, square, threadIdx.y, blockDim.y, blockDim.x);
    if (place.column < width && threadIdx.y == 0)
#pragma unroll
        for (int i = 0; i < WIDTH; i++) {
            const long long at = (long long)blockIdx.y * width + place.column + i;
            parts[at] = mean[i];
            parts[(long long)gridDim.y * width + at] = square[i];
        }
}

// Mean and variance per channel, from `count` parts of (height × width) numbers; the last part may have fewer.
extern "C" __global__ void __launch_bounds__(256)
join_moments(const A* __restrict__ parts, const T* __restrict__ x, A* __restrict__ mean, A* __restrict__ var,
                       long long rows, int width, int C, long long height, int count) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x, joined = width / C;
    A n = 0, means[1] = {}, squares[1] = {};
    if (c < C)
#pragma unroll 4
        for (int i = threadIdx.y; i < count * joined; i += blockDim.y) {
            const long long at = (long long)i * C + c;
            const A numbers = A(min(height, rows - i / joined * height));
            merge(n, means[0], squares[0], numbers, parts[at], parts[(long long)count * width + at]);
        }
    merge_threads<1>(n, means, squares, threadIdx.y, blockDim.y, blockDim.x);
    if (c < C && threadIdx.y == 0) {
        mean[c] = wide(x[c]) + means[0];
        var[c] = squares[0] / (A(rows) * joined);
    }
}

// y = (x - mean) * weight / sqrt(var + eps) + bias, plus another array if there is one; if it is to be positive, 0 in place of
// what is less. Without mean and var, x * weight + bias.
template <int WIDTH>
__device__ inline void normalize_channels(const T* __restrict__ x, const T* __restrict__ other, T* __restrict__ y,
                                          const A* __restrict__ mean, const A* __restrict__ var,
                                          const void* __restrict__ weight, const void* __restrict__ bias, int is_wide, A eps,
                                          int positive, long long rows, int width, int C, long long height) {
    const Place place(rows, height, WIDTH);
    if (place.column >= width) return;
    A center[WIDTH], scale[WIDTH], shift[WIDTH];
    int c = place.column % C;
#pragma unroll
    for (int i = 0; i < WIDTH; i++, c = next_channel(c, C)) {
        center[i] = mean ? mean[c] : A(0);
        scale[i] = of_affine(weight, is_wide, c, A(1));
        if (var) scale[i] *= rsqrt(var[c] + eps);
        shift[i] = of_affine(bias, is_wide, c, A(0));
    }
    const auto finish = [&](Numbers<WIDTH> numbers, const Numbers<WIDTH>& added, long long at) {
#pragma unroll
        for (int i = 0; i < WIDTH; i++) {
            A value = (wide(numbers.item[i]) - center[i]) * scale[i] + shift[i];
            if (other) value += wide(added.item[i]);
            numbers.item[i] = narrow<T>(positive && value < A(0) ? A(0) : value);
        }
        store<WIDTH>(y + at, numbers);
    };
    const int down = blockDim.y;
    long long row = place.first;
    for (; row + (AHEAD - 1) * down < place.last; row += AHEAD * down) {
        Numbers<WIDTH> ahead[AHEAD], added[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; k++) {
            const long long at = (row + k * down) * width + place.column;
            ahead[k] = load<WIDTH>(x + at);
            if (other) added[k] = load<WIDTH>(other + at);
        }
#pragma unroll
        for (int k = 0; k < AHEAD; k++) finish(ahead[k], added[k], (row + k * down) * width + place.column);
    }
    for (; row < place.last; row += down) {
        const long long at = row * width + place.column;
        Numbers<WIDTH> added;
        if (other) added = load<WIDTH>(other + at);
        finish(load<WIDTH>(x + at), added, at);
    }
}

// What the gradient's kernels read of a pack: gradients, zeros where the output is 0, and the numbers that were normalized.
template <int WIDTH> struct Pair { Numbers<WIDTH> grad, x; };

template <int WIDTH>
__device__ inline Pair<WIDTH> load_pair(const T* grad, const T* x, const T* output, long long at) {
    Pair<WIDTH> pair = {load<WIDTH>(grad + at), load<WIDTH>(x + at)};
    if (output) {
        const Numbers<WIDTH> mask = load<WIDTH>(output + at);
#pragma unroll
        for (int i = 0; i < WIDTH; i++)
            if (wide(mask.item[i]) == 0) pair.grad.item[i] = narrow<T>(A(0));
    }
    return pair;
}

// Of each part and column: parts[0] = the sum of grad, parts[1] = that of grad * (x - mean). PER_ROW: mean and var belong to
// rows, and the second is the sum of grad * (x - mean) / sqrt(var + eps).
template <int WIDTH, bool PER_ROW>
__device__ inline void gradient_sums(const T* __restrict__ grad, const T* __restrict__ x, const T* __restrict__ output,
                                     const A* __restrict__ mean, const A* __restrict__ var, A eps, A* __restrict__ parts,
                                     long long rows, int width, int C, long long height) {
    const Place place(rows, height, WIDTH);
    A center[WIDTH], total[2 * WIDTH] = {};
    if (place.column < width) {
        int c = place.column % C;
        if (!PER_ROW)
#pragma unroll
            for (int i = 0; i < WIDTH; i++, c = next_channel(c, C)) center[i] = mean[c];
        const auto add = [&](const Pair<WIDTH>& pair, long long row) {
            const A scale = PER_ROW ? rsqrt(var[row] + eps) : A(1), of_row = PER_ROW ? mean[row] : A(0);
#pragma unroll
            for (int i = 0; i < WIDTH; i++) {
                const A g = wide(pair.grad.item[i]), distance = wide(pair.x.item[i]) - (PER_ROW ? of_row : center[i]);
                total[i] += g;
                total[WIDTH + i] += g * (PER_ROW ? distance * scale : distance);
            }
        };
        const int down = blockDim.y;
        long long row = place.first;
        for (; row + (AHEAD - 1) * down < place.last; row += AHEAD * down) {
            Pair<WIDTH> ahead[AHEAD];
#pragma unroll
            for (int k = 0; k < AHEAD; k++)
                ahead[k] = load_pair<WIDTH>(grad, x, output, (row + k * down) * width + place.column);
#pragma unroll
            for (int k = 0; k < AHEAD; k++) add(ahead[k], row + k * down);
        }
        for (; row < place.last; row += down) add(load_pair<WIDTH>(grad, x, output, row * width + place.column), row);
    }
    add_threads<2 * WIDTH>(total, threadIdx.y, blockDim.y, blockDim.x);
    if (place.column < width && threadIdx.y == 0)
#pragma unroll
        for (int i = 0; i < WIDTH; i++) {
            const long long at = (long long)blockIdx.y * width + place.column + i;
            parts[at] = total[i];
            parts[(long long)gridDim.y * width + at] = total[WIDTH + i];
        }
}

// The gradients by bias and weight: the sums of `count` parts, the second one divided by sqrt(var + eps) where there is var.
extern "C" __global__ void __launch_bounds__(256)
join_gradient_sums(const A* __restrict__ parts, const A* __restrict__ var, A eps, A* __restrict__ dbias,
                     A* __restrict__ dweight, int C, int count) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    A total[2] = {};
    if (c < C)
#pragma unroll 4
        for (int i = threadIdx.y; i < count; i += blockDim.y) {
            total[0] += parts[(long long)i * C + c];
            total[1] += parts[(long long)(count + i) * C + c];
        }
    add_threads<2>(total, threadIdx.y, blockDim.y, blockDim.x);
    if (c < C && threadIdx.y == 0) {
        dbias[c] = total[0];
        dweight[c] = var ? total[1] * rsqrt(var[c] + eps) : total[1];
    }
}

// dx = factor * (grad - dbias / n - (x - mean) * dweight / (n * sqrt(var + eps))), factor = weight / sqrt(var + eps), sorted by
// grad and x.
template <int WIDTH>
__device__ inline void channel_gradient(const T* __restrict__ grad, const T* __restrict__ x, const T* __restrict__ output,
                                        T* __restrict__ dx, const A* __restrict__ mean, const A* __restrict__ var,
                                        const void* __restrict__ weight, int is_wide, A eps, const A* __restrict__ dbias,
                                        const A* __restrict__ dweight, long long rows, int width, int C, long long height) {
    const Place place(rows, height, WIDTH);
    if (place.column >= width) return;
    const A n = A(rows) * (width / C);
    A factor[WIDTH], slope[WIDTH], rest[WIDTH];
    int c = place.column % C;
#pragma unroll
    for (int i = 0; i < WIDTH; i++, c = next_channel(c, C)) {
        const A scale = rsqrt(var[c] + eps);
        factor[i] = of_affine(weight, is_wide, c, A(1)) * scale;
        slope[i] = -factor[i] * scale * dweight[c] / n;
        rest[i] = -factor[i] * dbias[c] / n - slope[i] * mean[c];
    }
    const auto finish = [&](Pair<WIDTH> pair, long long at) {
#pragma unroll
        for (int i = 0; i < WIDTH; i++)
            pair.x.item[i] = narrow<T>(wide(pair.grad.item[i]) * factor[i] + (wide(pair.x.item[i]) * slope[i] + rest[i]));
        store<WIDTH>(dx + at, pair.x);
    };
    const int down = blockDim.y;
    long long row = place.first;
    for (; row + (AHEAD - 1) * down < place.last; row += AHEAD * down) {
        Pair<WIDTH> ahead[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            ahead[k] = load_pair<WIDTH>(grad, x, output, (row + k * down) * width + place.column);
#pragma unroll
        for (int k = 0; k < AHEAD; k++) finish(ahead[k], (row + k * down) * width + place.column);
    }
    for (; row < place.last; row += down) {
        const long long at = row * width + place.column;
        finish(load_pair<WIDTH>(grad, x, output, at), at);
    }
}

#define PER_CHANNEL(SUFFIX, WIDTH)                                                                                            \
    extern "C" __global__ void __launch_bounds__(256, 4)                                                                      \
    channel_moments_##SUFFIX(const T* x, A* parts, long long rows, int width, int C, long long height) {                      \
        channel_moments<WIDTH>(x, parts, rows, width, C, height);                                                             \
    }                                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256)                                                                         \
    normalize_channels_##SUFFIX(const T* x, const T* other, T* y, const A* mean, const A* var, const void* weight,            \
                                const void* bias, int is_wide, A eps, int positive, long long rows, int width, int C,         \
                                long long height) {                                                                           \
        normalize_channels<WIDTH>(x, other, y, mean, var, weight, bias, is_wide, eps, positive, rows, width, C, height);      \
    }                                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256)                                                                         \
    channel_gradient_sums_##SUFFIX(const T* grad, const T* x, const T* output, const A* mean, A* parts, long long rows,       \
                                   int width, int C, long long height) {                                                      \
        gradient_sums<WIDTH, false>(grad, x, output, mean, nullptr, A(0), parts, rows, width, C, height);                     \
    }                                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256)                                                                         \
    channel_gradient_##SUFFIX(const T* grad, const T* x, const T* output, T* dx, const A* mean, const A* var,                 \
                              const void* weight, int is_wide, A eps, const A* dbias, const A* dweight, long long rows,       \
                              int width, int C, long long height) {                                                           \
        channel_gradient<WIDTH>(grad, x, output, dx, mean, var, weight, is_wide, eps, dbias, dweight, rows, width, C,         \
                                height);                                                                                      \
    }
PER_CHANNEL(packed, PACK)
PER_CHANNEL(single, 1)

// --- per row: the statistics belong to rows, weight and bias to columns; the threads of a row stand side by side ------------

template <int WIDTH>
__device__ inline void row_moments(const T* __restrict__ x, A* __restrict__ mean, A* __restrict__ var, long long rows,
                                   int length) {
    const long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    A origin = 0, n = 0, means[WIDTH] = {}, squares[WIDTH] = {};
    if (row < rows) {
        const T* from = x + row * length;
        origin = wide(from[0]);
        for (int at = threadIdx.x * WIDTH; at < length; at += blockDim.x * WIDTH) {
            const Numbers<WIDTH> next = load<WIDTH>(from + at);
            const A share = A(1) / ++n;
#pragma unroll
            for (int i = 0; i < WIDTH; i++) include(means[i], squares[i], share, wide(next.item[i]) - origin);
        }
    }
    A all = n, of_thread[1] = {means[0]}, around[1] = {squares[0]};
#pragma unroll
    for (int i = 1; i < WIDTH; i++) merge(all, of_thread[0], around[0], n, means[i], squares[i]);
    merge_threads<1>(all, of_thread, around, threadIdx.x, blockDim.x, 1);
    if (row < rows && threadIdx.x == 0) {
        mean[row] = origin + of_thread[0];
        var[row] = around[0] / length;
    }
}

template <int WIDTH>
__device__ inline void normalize_rows(const T* __restrict__ x, const T* __restrict__ other, T* __restrict__ y,
                                      const A* __restrict__ mean, const A* __restrict__ var, const void* __restrict__ weight,
                                      const void* __restrict__ bias, int is_wide, A eps, int positive, long long rows,
                                      int length) {
    const long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const A center = mean[row], scale = rsqrt(var[row] + eps);
    for (int at = threadIdx.x * WIDTH; at < length; at += blockDim.x * WIDTH) {
        Numbers<WIDTH> numbers = load<WIDTH>(x + row * length + at), added;
        if (other) added = load<WIDTH>(other + row * length + at);
#pragma unroll
        for (int i = 0; i < WIDTH; i++) {
            const A factor = of_affine(weight, is_wide, at + i, A(1));
            A value = (wide(numbers.item[i]) - center) * scale * factor + of_affine(bias, is_wide, at + i, A(0));
            if (other) value += wide(added.item[i]);
            numbers.item[i] = narrow<T>(positive && value < A(0) ? A(0) : value);
        }
        store<WIDTH>(y + row * length + at, numbers);
    }
}

// dx = (h - mean(h) - z * mean(h * z)) / sqrt(var + eps) with h = grad * weight and z the normalized x; the second reading of a
// row finds it in the cache.
template <int WIDTH>
__device__ inline void row_gradient(const T* __restrict__ grad, const T* __restrict__ x, const T* __restrict__ output,
                                    T* __restrict__ dx, const A* __restrict__ mean, const A* __restrict__ var,
                                    const void* __restrict__ weight, int is_wide, A eps, long long rows, int length) {
    __shared__ A of_rows[2][THREADS];
    const long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y, start = row * length;
    const bool inside = row < rows;
    const A center = inside ? mean[row] : A(0), scale = inside ? rsqrt(var[row] + eps) : A(0);
    const int first = threadIdx.x * WIDTH, step = blockDim.x * WIDTH;
    A total[2] = {};
    if (inside)
        for (int at = first; at < length; at += step) {
            const Pair<WIDTH> pair = load_pair<WIDTH>(grad, x, output, start + at);
#pragma unroll
            for (int i = 0; i < WIDTH; i++) {
                const A h = wide(pair.grad.item[i]) * of_affine(weight, is_wide, at + i, A(1));
                total[0] += h;
                total[1] += h * ((wide(pair.x.item[i]) - center) * scale);
            }
        }
    add_threads<2>(total, threadIdx.x, blockDim.x, 1);
    if (threadIdx.x == 0) of_rows[0][threadIdx.y] = total[0] / length, of_rows[1][threadIdx.y] = total[1] / length;
    __syncthreads();
    const A mean_h = of_rows[0][threadIdx.y], mean_hz = of_rows[1][threadIdx.y];
    if (inside)
        for (int at = first; at < length; at += step) {
            Pair<WIDTH> pair = load_pair<WIDTH>(grad, x, output, start + at);
#pragma unroll
            for (int i = 0; i < WIDTH; i++) {
                const A h = wide(pair.grad.item[i]) * of_affine(weight, is_wide, at + i, A(1));
                const A z = (wide(pair.x.item[i]) - center) * scale;
                pair.x.item[i] = narrow<T>((h - mean_h - z * mean_hz) * scale);
            }
            store<WIDTH>(dx + start + at, pair.x);
        }
}

#define PER_ROW(SUFFIX, WIDTH)                                                                                                \
    extern "C" __global__ void __launch_bounds__(256)                                                                         \
    row_moments_##SUFFIX(const T* x, A* mean, A* var, long long rows, int length) {                                           \
        row_moments<WIDTH>(x, mean, var, rows, length);                                                                       \
    }                                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256)                                                                         \
    normalize_rows_##SUFFIX(const T* x, const T* other, T* y, const A* mean, const A* var, const void* weight,                \
                            const void* bias, int is_wide, A eps, int positive, long long rows, int length) {                 \
        normalize_rows<WIDTH>(x, other, y, mean, var, weight, bias, is_wide, eps, positive, rows, length);                    \
    }                                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256)                                                                         \
    row_gradient_##SUFFIX(const T* grad, const T* x, const T* output, T* dx, const A* mean, const A* var,                     \
                          const void* weight, int is_wide, A eps, long long rows, int length) {                               \
        row_gradient<WIDTH>(grad, x, output, dx, mean, var, weight, is_wide, eps, rows, length);                              \
    }                                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256)                                                                         \
    row_gradient_sums_##SUFFIX(const T* grad, const T* x, const T* output, const A* mean, const A* var, A eps, A* parts,      \
                               long long rows, int length, long long height) {                                                \
        gradient_sums<WIDTH, true>(grad, x, output, mean, var, eps, parts, rows, length, length, height);                     \
    }
PER_ROW(packed, PACK)
PER_ROW(single, 1)

// --- running statistics ------------------------------------------------------------------------------------------------------

// running = (1 - momentum) * running + momentum * new; the variance is made the unbiased one by a factor.
extern "C" __global__ void __launch_bounds__(256)
track_statistics(T* running_mean, T* running_var, long long* batches, const A* mean, const A* var, A unbiased, A momentum,
                 int C) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= C) return;
    if (batches && c == 0) *batches += 1;
    running_mean[c] = narrow<T>((A(1) - momentum) * wide(running_mean[c]) + momentum * mean[c]);
    running_var[c] = narrow<T>((A(1) - momentum) * wide(running_var[c]) + momentum * (var[c] * unbiased));
}

// scale = weight / sqrt(var + eps), shift = bias - mean * scale: what normalizes by running statistics.
extern "C" __global__ void __launch_bounds__(256)
running_affine(const T* mean, const T* var, const void* weight, const void* bias, int is_wide, A eps, A* scale, A* shift,
               int C) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= C) return;
    const A factor = of_affine(weight, is_wide, c, A(1)) * rsqrt(wide(var[c]) + eps);
    scale[c] = factor;
    shift[c] = of_affine(bias, is_wide, c, A(0)) - wide(mean[c]) * factor;
}
