// Adds rows of values to the rows of a table that an index names, without atomics and in a fixed order. The index comes sorted,
// so that equal ones lie next to each other, as runs; "order" says where each one's values are. A thread takes WINDOW places of
// the sorted index and some columns. A run inside a window is added to the table at once; the two ends of a window that belong
// to longer runs go to "partial", (windows, 2, columns), and a second kernel adds up the pieces of each longer run.

constexpr int WINDOW = 16, AHEAD = 4;

template <int WIDTH> __device__ inline void add_to(T* place, const A* sum) {
    Numbers<WIDTH> row = load<WIDTH>(place);
#pragma unroll
    for (int k = 0; k < WIDTH; k++) row.item[k] = narrow<T>(wide(row.item[k]) + sum[k]);
    store(place, row);
}

template <int WIDTH> __device__ inline void write(A* place, const A* sum) {
#pragma unroll
    for (int k = 0; k < WIDTH; k++) place[k] = sum[k];
}

// The column of a thread, and each window that it looks at.
#define COLUMN ((blockIdx.x * blockDim.x + threadIdx.x) * WIDTH)
#define EACH_WINDOW(window, count) \
    for (long long window = blockIdx.y * blockDim.y + threadIdx.y; window * WINDOW < count; window += gridDim.y * blockDim.y)

template <int WIDTH>
__device__ inline void add_runs(T* __restrict__ table, A* __restrict__ partial, const T* __restrict__ values,
                                const long long* __restrict__ index, const long long* __restrict__ order,
                                long long count, int columns) {
    const int column = COLUMN;
    if (column >= columns) return;
    EACH_WINDOW(window, count) {
        const long long begin = window * WINDOW, end = min(begin + WINDOW, count);
        const bool from_before = begin > 0 && index[begin - 1] == index[begin];
        const bool goes_on = end < count && index[end - 1] == index[end];
        A sum[WIDTH] = {};
        bool first = true;
#pragma unroll 1
        for (long long start = begin; start < end; start += AHEAD) {
            Numbers<WIDTH> ahead[AHEAD];
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                if (start + i < end) ahead[i] = load<WIDTH>(values + order[start + i] * columns + column);
            }
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                const long long place = start + i;
                if (place >= end) break;
#pragma unroll
                for (int k = 0; k < WIDTH; k++) sum[k] += wide(ahead[i].item[k]);
                const bool last = place == end - 1;
                if (!last && index[place] == index[place + 1]) continue;
                A* piece = partial + 2 * window * columns + column;
                if (first && from_before) write<WIDTH>(piece, sum);
                else if (last && goes_on) write<WIDTH>(piece + columns, sum);
                else add_to<WIDTH>(table + index[place] * columns + column, sum);
                first = false;
#pragma unroll
                for (int k = 0; k < WIDTH; k++) sum[k] = 0;
            }
        }
    }
}

// A thread in whose window a longer run begins adds up its pieces: the end of this window, and the beginnings of those after.
template <int WIDTH>
__device__ inline void join_runs(T* __restrict__ table, const A* __restrict__ partial, const long long* __restrict__ index,
                                 long long count, int columns) {
    const int column = COLUMN;
    const long long windows = (count + WINDOW - 1) / WINDOW;
    if (column >= columns) return;
    EACH_WINDOW(window, count - WINDOW) {
        const long long begin = window * WINDOW;
        const long long row = index[begin + WINDOW - 1];
        const bool from_before = begin > 0 && index[begin - 1] == row;
        if (index[begin + WINDOW] != row || from_before) continue;
        long long last = window + 1, step = 1;  // the last window that begins with the run: by steps twice as long, and back
        for (; last + step < windows && index[(last + step) * WINDOW] == row; step *= 2) last += step;
        for (; step; step /= 2) {
            if (last + step < windows && index[(last + step) * WINDOW] == row) last += step;
        }
        const A* pieces = partial + column;
        A sum[WIDTH];
        for (int k = 0; k < WIDTH; k++) sum[k] = pieces[(2 * window + 1) * columns + k];
#pragma unroll 4
        for (long long next = window + 1; next <= last; next++) {
            for (int k = 0; k < WIDTH; k++) sum[k] += pieces[2 * next * columns + k];
        }
        add_to<WIDTH>(table + row * columns + column, sum);
    }
}

#define IN_PACKS_AND_SINGLY(name, parameters, arguments) \
    extern "C" __global__ void name##_packed parameters { name<PACK> arguments; } \
    extern "C" __global__ void name##_single parameters { name<1> arguments; }

IN_PACKS_AND_SINGLY(add_runs, (T* table, A* partial, const T* values, const long long* index, const long long* order,
                               long long count, int columns), (table, partial, values, index, order, count, columns))
IN_PACKS_AND_SINGLY(join_runs, (T* table, const A* partial, const long long* index, long long count, int columns),
                    (table, partial, index, count, columns))
