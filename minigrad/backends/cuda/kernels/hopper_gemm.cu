// The convolution of implicit_gemm.cu on Hopper's tensor cores (compute capability 9.0, compiled for sm_90a), which another
// instruction feeds: wgmma. Four warps, a warp group, give it 64 rows of windows and up to 256 columns of weights at once, and
// it reads both from shared memory by itself, while the warps do something else: no loads to registers, no operands there.
//
// How it is told where they lie: a descriptor of 64 bits names a matrix's address, says that eight of its rows are 1024 bytes,
// and that they are swizzled: chunk c of 16 bytes of row r is at place c ^ r % 8 of the row's 128 bytes, so that a column of
// chunks is spread over all banks. The hardware takes r % 8 from bits 7 to 9 of the address, so tiles begin at multiples of
// 1024. An instruction multiplies 32 bytes of every row; the next ones are named by an address 32 bytes further on, which is
// swizzled likewise. Of float numbers it reads the first 19 bits, TF32: they are truncated, not rounded.
//
// Who waits for whom: shared memory holds STAGES steps of the sum. In step i, every thread waits for its own copies of step i,
// shows them to the tensor cores' own way to memory (the asynchronous proxy), and meets the others at a barrier. Then each warp
// group starts its products, copies the tiles of step i + STAGES - 2 meanwhile, and waits until its products of step i - 1 are
// done; those of step i may go on behind the next barrier. So a step's copies go to where step i - 2 was, whose products every
// group knew to be done before it came to the barrier of step i. One stage more than the copies under way is the price of
// tensor cores that never wait for a barrier.

#ifndef MINIGRAD_EMULATED
// The first so many registers of an instruction.
#define REGISTERS_32                                                                                                           \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29"            \
    ",%30,%31"
#define REGISTERS_64 REGISTERS_32                                                                                              \
    ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59"         \
    ",%60,%61,%62,%63"
#define REGISTERS_128 REGISTERS_64                                                                                             \
    ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91"         \
    ",%92,%93,%94,%95,%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115"         \
    ",%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"

// The sums that are in them, of 8 columns at a time.
#define SUMS_4(j) "+f"(d[j][0]), "+f"(d[j][1]), "+f"(d[j][2]), "+f"(d[j][3])
#define SUMS_32(j)                                                                                                             \
    SUMS_4(j), SUMS_4(j + 1), SUMS_4(j + 2), SUMS_4(j + 3), SUMS_4(j + 4), SUMS_4(j + 5), SUMS_4(j + 6), SUMS_4(j + 7)
#define SUMS_64 SUMS_32(0), SUMS_32(8)
#define SUMS_128 SUMS_64, SUMS_32(16), SUMS_32(24)

// d += a · b, of 64 rows and N columns, given by descriptors: for 32 bytes of each, which are K numbers of the type that PTX
// calls so. Of 16-bit types it asks, besides, whether to transpose a and b.
#define WGMMA_OF(K, TYPE, TRANSPOSED, N, REGISTERS, SUMS, A, B)                                                                \
    __device__ inline void wgmma_##TYPE(float (&d)[N / 8][4], unsigned long long a, unsigned long long b) {                    \
        asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k" #K ".f32." #TYPE "." #TYPE " {" REGISTERS "}, %" #A ", %" #B   \
                     ", 1, 1, 1" TRANSPOSED ";" : SUMS : "l"(a), "l"(b));                                                      \
    }
#define WGMMA(K, TYPE, TRANSPOSED)                                                                                             \
    WGMMA_OF(K, TYPE, TRANSPOSED, 64, REGISTERS_32, SUMS_32(0), 32, 33)                                                        \
    WGMMA_OF(K, TYPE, TRANSPOSED, 128, REGISTERS_64, SUMS_64, 64, 65)                                                          \
    WGMMA_OF(K, TYPE, TRANSPOSED, 256, REGISTERS_128, SUMS_128, 128, 129)

WGMMA(8, tf32, "")
WGMMA(16, f16, ", 0, 0")
WGMMA(16, bf16, ", 0, 0")

__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }  // in front of the first

__device__ inline void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Until all but the last N groups are done.
template <int N> __device__ inline void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory"); }

// What this thread has written to shared memory, wgmma may read after the next barrier.
__device__ inline void show_to_wgmma() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
#endif

constexpr int GROUP = 128;       // threads of a warp group
constexpr int GROUP_ROWS = 64;   // of an instruction
constexpr int ALIGNMENT = 1024;  // of tiles

// A matrix in rows of 128 bytes, swizzled: the address, a distance that such ones do not have, that of rows 8 i (all counted in
// 16 bytes), and the kind of swizzle.
__device__ inline unsigned long long descriptor(const char* tile) {
    return (shared_address(tile) & 0x3ffff) >> 4 | 1ull << 16 | (8ull * ROW >> 4) << 32 | 1ull << 62;
}

template <int NI> __device__ inline void multiply(float (&sum)[NI][4], unsigned long long a, unsigned long long b) {
    if constexpr (sizeof(T) == 4) wgmma_tf32(sum, a, b);
    else if constexpr (IS_BFLOAT16) wgmma_bf16(sum, a, b);
    else wgmma_f16(sum, a, b);
}

// sum += windows × weights for one step, MI × 64 rows of one warp group: begun, and perhaps not done on return.
template <int MI, int NI>
__device__ inline void start_products(float (&sum)[MI][NI][4], const char* windows, const char* weights) {
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < ROW; k += 32)
#pragma unroll
        for (int i = 0; i < MI; i++) {
            // 32 bytes further on are 2 in a descriptor, whose address counts 16.
            multiply(sum[i], descriptor(windows + i * GROUP_ROWS * ROW) + k / 16, descriptor(weights) + k / 16);
        }
    wgmma_commit();
}

template <int BM, int BN, int GROUPS, int STAGES>
__device__ inline void convolve(const T* source, const T* weight, const T* bias, T* target, const Sizes& sizes, bool backward) {
    constexpr int MI = BM / GROUPS / GROUP_ROWS, NI = BN / 8, STAGE = (BM + BN) * ROW;
    constexpr int RESULT = BM * (BN + PAD) * sizeof(T), TILES = STAGES * STAGE > RESULT ? STAGES * STAGE : RESULT;
    const auto& [N, H, W, C, OH, OW, OC, KH, KW, SH, SW, PH, PW, DH, DW, pitch, output_pitch] = sizes;
    const Planes input = {H, W, C, pitch}, output = {OH, OW, OC, output_pitch};
    const Planes from = backward ? output : input, to = backward ? input : output;
    const int phase = blockIdx.y, group = blockIdx.z;
    const Axis h = backward ? backward_axis(H, KH, SH, PH, DH, phase / SW) : forward_axis(OH, KH, SH, PH, DH);
    const Axis w = backward ? backward_axis(W, KW, SW, PW, DW, phase % SW) : forward_axis(OW, KW, SW, PW, DW);
    const int across = (to.C + BN - 1) / BN, count = N * h.places * w.places;
    const int first_row = blockIdx.x / across * BM, first_column = blockIdx.x % across * BN, left = to.C - first_column;
    if (first_row >= count) return;
    char* stages = (char*)memory + (ALIGNMENT - shared_address(memory) % ALIGNMENT) % ALIGNMENT;
    Rows<BM>& rows = *(Rows<BM>*)(stages + TILES);
    find_rows(rows, h, w, first_row, count, from, to);
    __syncthreads();

    const int length = KH * KW * from.C, steps = (h.taps * w.taps * from.C + DEPTH - 1) / DEPTH;
    const long long first_weight = (long long)(group * to.C + first_column) * length;
    TileCopy<BM, BN, GROUPS * GROUP> tiles(rows, source + group * from.C, weight + first_weight, from, KW, length, left);
    auto copy_step = [&](int slot) {
        tiles.begin(h, w);
#pragma unroll
        for (int quarter = 0; quarter < 4; quarter++) tiles.copy(stages + slot * STAGE, quarter);
        copy_async_commit();
    };
#pragma unroll
    for (int slot = 0; slot < STAGES - 2; slot++) copy_step(slot);

    const int row = threadIdx.x / GROUP * MI * GROUP_ROWS;
    float sum[MI][NI][4] = {};
    for (int step = 0, slot = 0, next = STAGES - 2; step < steps; step++) {
        copy_async_wait<STAGES - 3>();
        show_to_wgmma();
        __syncthreads();
        start_products(sum, stages + slot * STAGE + row * ROW, stages + slot * STAGE + BM * ROW);
        copy_step(next);
        wgmma_wait<1>();
        slot = slot + 1 == STAGES ? 0 : slot + 1;
        next = next + 1 == STAGES ? 0 : next + 1;
    }
    wgmma_wait<0>();
    copy_async_wait<0>();
    __syncthreads();

    T* tile = (T*)stages;
    const int warp_row = row + threadIdx.x % GROUP / 32 * 16;
    const T* biases = bias ? bias + group * to.C + first_column : nullptr;
#pragma unroll
    for (int i = 0; i < MI; i++) keep_sums<NI, BN>(tile, sum[i], biases, warp_row + i * GROUP_ROWS, 0, left);
    __syncthreads();
    write_tile<BM, BN>(target + group * to.C + first_column, tile, rows.target, to.pitch, left);
}

// Grid: x counts tiles, those of the same rows side by side; y the phases of the gradient by the input; z groups.
#define CONVOLVE(BM, BN, GROUPS, STAGES, BLOCKS)                                                                               \
    extern "C" __global__ void __launch_bounds__(GROUPS* GROUP, BLOCKS) convolve_##BM##x##BN(                                  \
        const T* __restrict__ source, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ target,        \
        Sizes sizes, int backward) {                                                                                           \
        convolve<BM, BN, GROUPS, STAGES>(source, weight, bias, target, sizes, backward);                                       \
    }

CONVOLVE(128, 256, 2, 4, 1)
CONVOLVE(256, 128, 2, 4, 1)
CONVOLVE(128, 128, 2, 6, 1)
CONVOLVE(128, 64, 1, 4, 2)
