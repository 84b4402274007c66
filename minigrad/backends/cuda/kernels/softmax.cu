// Softmax of rows (rows, C), or its logarithm, and the gradient of either from its result y. A row is read once for what is summed
// over it, and once more, as a rule from the cache, for what is written.

template <int WIDTH>
__device__ inline void softmax(const T* __restrict__ x, T* __restrict__ y, int rows, int C, int logarithm) {
    const int row = ROW;
    if (row >= rows) return;
    x += (long long)row * C, y += (long long)row * C;
    A largest, sum;
    largest_and_sum<WIDTH>(x, C, largest, sum);
    const A log_sum = log(sum);
    EACH_PACK(c) {
        const Numbers<WIDTH> scores = load<WIDTH>(x + c);
        Numbers<WIDTH> result;
#pragma unroll
        for (int k = 0; k < WIDTH; k++) {
            const A shifted = wide(scores.item[k]) - largest;
            result.item[k] = narrow<T>(logarithm ? shifted - log_sum : exp(shifted) / sum);
        }
        store(y + c, result);
    }
}

// y · (grad − Σ grad · y), or grad − exp(y) · Σ grad.
template <int WIDTH>
__device__ inline void softmax_grad(const T* __restrict__ grad, const T* __restrict__ y, T* __restrict__ dx, int rows, int C,
                                    int logarithm) {
    const int row = ROW;
    if (row >= rows) return;
    grad += (long long)row * C, y += (long long)row * C, dx += (long long)row * C;
    A total = 0;
    EACH_PACK(c) {
        const Numbers<WIDTH> above = load<WIDTH>(grad + c), here = load<WIDTH>(y + c);
#pragma unroll
        for (int k = 0; k < WIDTH; k++) total += logarithm ? wide(above.item[k]) : wide(above.item[k]) * wide(here.item[k]);
    }
    total = row_sum(total);
    EACH_PACK(c) {
        const Numbers<WIDTH> above = load<WIDTH>(grad + c), here = load<WIDTH>(y + c);
        Numbers<WIDTH> result;
#pragma unroll
        for (int k = 0; k < WIDTH; k++) {
            const A a = wide(above.item[k]), h = wide(here.item[k]);
            result.item[k] = narrow<T>(logarithm ? a - exp(h) * total : h * (a - total));
        }
        store(dx + c, result);
    }
}

IN_PACKS_AND_SINGLY(softmax, (const T* x, T* y, int rows, int C, int logarithm), (x, y, rows, C, logarithm))
IN_PACKS_AND_SINGLY(softmax_grad, (const T* grad, const T* y, T* dx, int rows, int C, int logarithm),
                    (grad, y, dx, rows, C, logarithm))
