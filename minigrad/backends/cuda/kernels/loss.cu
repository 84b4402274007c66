// Cross-entropy of rows of scores (rows, C) with class numbers.

// Which classes count how much for a row: the target's weight, and a part of all weights. A class that there is not makes nan.
struct Shares {
    const A* weight;  // null: all 1
    A of_target, of_all;

    __device__ Shares(const A* weight, long long target, int C, bool counts, A smoothing) : weight(weight) {
        const bool exists = target >= 0 && target < C;
        of_target = !counts ? A(0) : !exists ? not_a_number() : (1 - smoothing) * (weight ? weight[target] : A(1));
        of_all = counts ? smoothing / C : A(0);
    }
    __device__ A spread(int c) const { return weight ? of_all * weight[c] : of_all; }
};

#define PARAMETERS \
    const long long *__restrict__ target, const A *__restrict__ weight, int rows, int C, int ignores, long long ignored, \
    A smoothing
#define ARGUMENTS target, weight, rows, C, ignores, ignored, smoothing

template <int WIDTH>
__device__ inline void cross_entropy(const T* __restrict__ x, T* __restrict__ loss, A* __restrict__ logsumexp, PARAMETERS) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    x += (long long)row * C;
    A of_row, sum;
    largest_and_sum<WIDTH>(x, C, of_row, sum);
    const bool finite = of_row > -infinity() && of_row < infinity();
    const A log_sum = finite ? log(sum) : not_a_number();

    const bool counts = !ignores || target[row] != ignored;
    const Shares shares(weight, target[row], C, counts, smoothing);
    A others = 0;
    if (smoothing) {
        for (int c = threadIdx.x; c < C; c += blockDim.x) others += shares.spread(c) * (wide(x[c]) - of_row - log_sum);
        others = row_sum(others);
    }
    if (threadIdx.x) return;
    const bool exists = target[row] >= 0 && target[row] < C;
    const A chosen = exists ? wide(x[target[row]]) - of_row - log_sum : not_a_number();
    loss[row] = narrow<T>(counts ? -shares.of_target * chosen - others : A(0));
    logsumexp[row] = of_row + log_sum;
}

// The rows' gradients lie so many numbers apart: 0 if all have one.
template <int WIDTH>
__device__ inline void cross_entropy_grad(const A* __restrict__ grad, int step, const T* __restrict__ x,
                                          const A* __restrict__ logsumexp, T* __restrict__ dx, PARAMETERS) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    x += (long long)row * C, dx += (long long)row * C;
    const Shares shares(weight, target[row], C, !ignores || target[row] != ignored, smoothing);
    A total = C * shares.of_all;
    if (smoothing && weight) {
        total = 0;
        for (int c = threadIdx.x; c < C; c += blockDim.x) total += shares.spread(c);
        total = row_sum(total);
    }
    total += shares.of_target;
    const A above = grad[(long long)row * step], log_total = logsumexp[row];
    EACH_PACK(c) {
        const Numbers<WIDTH> scores = load<WIDTH>(x + c);
        Numbers<WIDTH> result;
#pragma unroll
        for (int k = 0; k < WIDTH; k++) {
            const A share = shares.spread(c + k) + (c + k == target[row] ? shares.of_target : A(0));
            result.item[k] = narrow<T>(above * (exp(wide(scores.item[k]) - log_total) * total - share));
        }
        store(dx + c, result);
    }
}

IN_PACKS_AND_SINGLY(cross_entropy, (const T* x, T* loss, A* logsumexp, PARAMETERS), (x, loss, logsumexp, ARGUMENTS))
IN_PACKS_AND_SINGLY(cross_entropy_grad, (const A* grad, int step, const T* x, const A* logsumexp, T* dx, PARAMETERS),
                    (grad, step, x, logsumexp, dx, ARGUMENTS))

// The sum of the losses divided by the sum of the weights of their classes, and that sum; one block.
extern "C" __global__ void mean_of_losses(const T* __restrict__ loss, const long long* __restrict__ target,
                                          const A* __restrict__ weight, T* __restrict__ mean, A* __restrict__ total, int rows,
                                          int C, int ignores, long long ignored) {
    A losses = 0, weights = 0;
    for (int row = threadIdx.x; row < rows; row += blockDim.x) {
        if (ignores && target[row] == ignored) continue;
        losses += wide(loss[row]);
        const bool weighs = weight && target[row] >= 0 && target[row] < C;
        weights += weighs ? weight[target[row]] : A(1);
    }
    losses = row_sum(losses), weights = row_sum(weights);
    if (threadIdx.x) return;
    *mean = narrow<T>(losses / weights), *total = weights;
}
