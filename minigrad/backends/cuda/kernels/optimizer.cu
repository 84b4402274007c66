// One step of an optimizer for many parameters in one launch. The addresses of all arrays come by value, as one argument:
// nothing must be copied to the device before. A block finds its array by the number of blocks before it. The arrays of one
// parameter have one memory order, whichever it is. The numbers of the rule (learning rate, ...) come by value too, or are read
// from device memory, where they can change between the replays of a CUDA graph.

constexpr int ARRAYS = 5, TENSORS = 64, CHUNK = 4096, NUMBERS = 8, PAGE = 32;

struct Launch {
    T* array[ARRAYS][TENSORS];  // the parameters, their gradients, their states
    long long size[TENSORS];
    double number[NUMBERS];
    const double* live;  // where the numbers are instead, or null
    int end[TENSORS];    // the number of blocks for this tensor and all before it
    int tensors;
};

// The first tensor that ends behind a block.
__device__ inline int tensor_of(const Launch& launch, int block) {
    int low = 0, high = launch.tensors - 1;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (launch.end[middle] > block) high = middle;
        else low = middle + 1;
    }
    return low;
}

// What a block has to do: so many elements of one tensor.
struct Part { int tensor, count; long long first; };

__device__ inline Part part_of(const Launch& launch) {
    const int tensor = tensor_of(launch, blockIdx.x);
    const int block = int(blockIdx.x) - (tensor ? launch.end[tensor - 1] : 0);
    const long long first = block * (long long)CHUNK;
    return {tensor, int(min((long long)CHUNK, launch.size[tensor] - first)), first};
}

// A rule's step(n, x) takes its numbers n and the elements x of one place: of the parameter, the gradient and the states. It
// changes all but the gradient.
template <int COUNT, class Rule> __device__ inline void update(const Launch& launch) {
    A n[NUMBERS];
#pragma unroll
    for (int i = 0; i < NUMBERS; i++) n[i] = A(launch.live ? launch.live[i] : launch.number[i]);
    const Part part = part_of(launch);
    const int count = part.count;
    T* array[COUNT];
    unsigned long long addresses = 0;
#pragma unroll
    for (int k = 0; k < COUNT; k++) {
        array[k] = launch.array[k][part.tensor] + part.first;
        addresses |= (unsigned long long)array[k];
    }
    const int packed = addresses % sizeof(Pack) ? 0 : count / PACK * PACK;
    for (int i = threadIdx.x * PACK; i < packed; i += blockDim.x * PACK) {
        Pack pack[COUNT];
#pragma unroll
        for (int k = 0; k < COUNT; k++) pack[k] = *(const Pack*)(array[k] + i);
#pragma unroll
        for (int j = 0; j < PACK; j++) {
            A x[COUNT];
#pragma unroll
            for (int k = 0; k < COUNT; k++) x[k] = wide(pack[k].item[j]);
            Rule::step(n, x);
#pragma unroll
            for (int k = 0; k < COUNT; k++) pack[k].item[j] = narrow<T>(x[k]);
        }
#pragma unroll
        for (int k = 0; k < COUNT; k++)
            if (k != 1) *(Pack*)(array[k] + i) = pack[k];
    }
    for (int i = packed + threadIdx.x; i < count; i += blockDim.x) {
        A x[COUNT];
#pragma unroll
        for (int k = 0; k < COUNT; k++) x[k] = wide(array[k][i]);
        Rule::step(n, x);
#pragma unroll
        for (int k = 0; k < COUNT; k++)
            if (k != 1) array[k][i] = narrow<T>(x[k]);
    }
}

// What to go along: the gradient, negated (sign -1) to maximize, plus the weight decay's.
__device__ inline A descent(const A* x, A sign, A decay) {
    return decay == A(0) ? sign * x[1] : sign * x[1] + decay * x[0];
}

template <bool MOMENTUM, bool NESTEROV> struct SGD {
    static __device__ inline void step(const A* n, A* x) {
        const A lr = n[0], sign = n[1], decay = n[2], momentum = n[3], part = n[4];
        A along = descent(x, sign, decay);
        if (MOMENTUM) {
            x[2] = momentum * x[2] + part * along;
            along = NESTEROV ? along + momentum * x[2] : x[2];
        }
        x[0] -= lr * along;
    }
};

template <bool AMSGRAD> struct Adam {
    static __device__ inline void step(const A* n, A* x) {
        const A rate = n[0], sign = n[1], decay = n[2], keep = n[3], part1 = n[4], beta2 = n[5], part2 = n[6], eps = n[7];
        x[0] *= keep;
        const A gradient = descent(x, sign, decay);
        x[2] += part1 * (gradient - x[2]);
        x[3] = beta2 * x[3] + part2 * gradient * gradient;  // the square by itself may overflow
        A square = x[3];
        if (AMSGRAD) {
            constexpr int LARGEST = 3 + AMSGRAD;
            if (isnan(square) || square > x[LARGEST]) x[LARGEST] = square;
            square = x[LARGEST];
        }
        x[0] -= rate * (x[2] / (sqrt(square) + eps));
    }
};

struct Lion {
    static __device__ inline void step(const A* n, A* x) {
        const A lr = n[0], sign = n[1], keep = n[2], part1 = n[3], part2 = n[4];
        const A gap = sign * x[1] - x[2], along = x[2] + part1 * gap;
        x[0] = keep * x[0] - lr * (along > A(0) ? A(1) : along < A(0) ? A(-1) : along);  // nan stays nan
        x[2] += part2 * gap;
    }
};

template <bool CENTERED, bool MOMENTUM> struct RMSprop {
    static __device__ inline void step(const A* n, A* x) {
        constexpr int CENTER = 2 + CENTERED, BUFFER = CENTER + MOMENTUM;
        const A lr = n[0], sign = n[1], decay = n[2], alpha = n[3], part = n[4], eps = n[5], momentum = n[6];
        const A gradient = descent(x, sign, decay);
        x[2] = alpha * x[2] + part * gradient * gradient;
        A square = x[2];
        if (CENTERED) {
            x[CENTER] += part * (gradient - x[CENTER]);
            square -= x[CENTER] * x[CENTER];
        }
        A along = gradient / (sqrt(square) + eps);
        if (MOMENTUM) along = x[BUFFER] = momentum * x[BUFFER] + along;
        x[0] -= lr * along;
    }
};

struct Adagrad {
    static __device__ inline void step(const A* n, A* x) {
        const A rate = n[0], sign = n[1], decay = n[2], eps = n[3];
        const A gradient = descent(x, sign, decay);
        x[2] += gradient * gradient;
        x[0] -= rate * (gradient / (sqrt(x[2]) + eps));
    }
};

#define STEP(NAME, COUNT, ...) \
    extern "C" __global__ void __launch_bounds__(256) NAME(const Launch launch) { update<COUNT, __VA_ARGS__>(launch); }

STEP(sgd, 2, SGD<false, false>)
STEP(sgd_momentum, 3, SGD<true, false>)
STEP(sgd_nesterov, 3, SGD<true, true>)
STEP(adam, 4, Adam<false>)
STEP(adam_amsgrad, 5, Adam<true>)
STEP(lion, 3, Lion)
STEP(rmsprop, 3, RMSprop<false, false>)
STEP(rmsprop_momentum, 4, RMSprop<false, true>)
STEP(rmsprop_centered, 4, RMSprop<true, false>)
STEP(rmsprop_centered_momentum, 5, RMSprop<true, true>)
STEP(adagrad, 3, Adagrad)

// Gradients divided by a scale, in place; found becomes 1 if one of them was inf or nan, and is left alone else. Several
// blocks may write it, but all the same number.
extern "C" __global__ void __launch_bounds__(256) unscale(const Launch launch, const float* scale, float* found) {
    const A inverse = A(1.0 / double(*scale));
    const Part part = part_of(launch);
    T* grad = launch.array[0][part.tensor] + part.first;
    bool finite = true;
    const int packed = (unsigned long long)grad % sizeof(Pack) ? 0 : part.count / PACK * PACK;
    for (int i = threadIdx.x * PACK; i < packed; i += blockDim.x * PACK) {
        Pack pack = *(const Pack*)(grad + i);
#pragma unroll
        for (int j = 0; j < PACK; j++) {
            const A x = wide(pack.item[j]);
            finite = finite && x - x == A(0);
            pack.item[j] = narrow<T>(x * inverse);
        }
        *(Pack*)(grad + i) = pack;
    }
    for (int i = packed + threadIdx.x; i < part.count; i += blockDim.x) {
        const A x = wide(grad[i]);
        finite = finite && x - x == A(0);
        grad[i] = narrow<T>(x * inverse);
    }
    if (!finite) *found = 1;
}

// Numbers for the next replay of a graph, which come by value.
struct Page { double number[PAGE * NUMBERS]; };

extern "C" __global__ void store_numbers(const Page page, double* live, int count) {
    for (int i = threadIdx.x; i < count; i += blockDim.x) live[i] = page.number[i];
}
