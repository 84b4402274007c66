"""The emulation that the CUDA kernels' tests stand on: what runs, and what it refuses, as a GPU would or should."""

from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import pytest

from minigrad.backends.cuda.compiler import TYPES
from tests import cuda_emulation
from tests.cuda_emulation import RawModule
from tests.fake_cupy import FakeArray, FakeCupy, fake_cupy
from tests.floats import REDUCED

KERNELS = r"""
#include <cuda_fp16.h>
#include <cuda_bf16.h>
#define NEW(name) extern "C" __global__ void name

NEW(where)(int* out) {
    int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}

NEW(axpy)(const T* __restrict__ x, T* __restrict__ y, A factor, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    for (; i < n; i += gridDim.x * blockDim.x) y[i] = T(A(x[i]) * factor + A(y[i]));
}

NEW(tree)(const float* x, float* sums, int n) {
    __shared__ float part[128];
    int i = blockIdx.x * 128 + threadIdx.x;
    part[threadIdx.x] = i < n ? x[i] : 0;
    __syncthreads();
    for (int half = 64; half > 0; half /= 2) {
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = part[0];
}

extern "C" __global__ void __launch_bounds__(16 * 16, 4) transpose(const float* x, float* y, int rows, int columns) {
    __shared__ float tile[16][17];
    int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
    if (row < rows && column < columns) tile[threadIdx.y][threadIdx.x] = x[row * columns + column];
    __syncthreads();
    row = blockIdx.y * 16 + threadIdx.x, column = blockIdx.x * 16 + threadIdx.y;
    if (row < rows && column < columns) y[column * rows + row] = tile[threadIdx.x][threadIdx.y];
}

NEW(leave_early)(int* out, int staying) {
    __shared__ int seen[256];
    if (threadIdx.x >= staying) return;
    seen[threadIdx.x] = threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = seen[staying - 1 - threadIdx.x];
}

NEW(uninitialized)(float* out) {
    __shared__ float part[32];
    out[threadIdx.x] = part[threadIdx.x];
    __syncthreads();
    part[threadIdx.x] = 1;
}

template <class Number> __device__ Number total(Number x) {
    __shared__ Number parts[32];
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    x = 0;
    for (int i = 0; i < blockDim.x / 32; i++) x += parts[i];
    return x;
}
NEW(totals)(const int* x, int* ints, float* floats, double* doubles) {
    int i = threadIdx.x;
    ints[i] = total(x[i]);
    floats[i] = total(float(x[i]) / 2);
    doubles[i] = total(double(x[i]) / 4);
}

NEW(lanes)(int* out) {
    int lane = threadIdx.x % 32;
    out += threadIdx.x * 8;
    out[0] = __shfl_sync(0xffffffffu, lane, 5);
    out[1] = __shfl_down_sync(0xffffffffu, lane, 3);
    out[2] = __shfl_up_sync(0xffffffffu, lane, 3);
    out[3] = __shfl_xor_sync(0xffffffffu, lane, 9, 16);
    out[4] = __shfl_down_sync(0xffffffffu, lane, 3, 8);
    out[5] = __ballot_sync(0xffffffffu, lane % 3 == 0);
    out[6] = __any_sync(0xffffffffu, threadIdx.x == 40);
    out[7] = __all_sync(0xffffffffu, threadIdx.x < 32);
}

NEW(halves)(const __half* x, const __half* y, __half* out, __half one) {
    int i = threadIdx.x;
    out += i * 6;
    out[0] = x[i] + y[i];
    out[1] = x[i] * y[i] - one;
    out[2] = -x[i] / y[i];
    out[3] = __float2half(__half2float(x[i]) * 1e5f);
    out[4] = __half(x[i] < y[i]);
    out[5] = __half(exp(float(x[i])));
}

NEW(rounded)(const unsigned* words, __nv_bfloat16* out, float* back, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        out[i] = __float2bfloat16(__uint_as_float(words[i]));
        back[i] = __bfloat162float(out[i]);
    }
}

NEW(bfloats)(const __nv_bfloat16* x, const __nv_bfloat16* y, __nv_bfloat16* out, __nv_bfloat16 one) {
    int i = threadIdx.x;
    out += i * 6;
    out[0] = x[i] + y[i];
    out[1] = x[i] * y[i] - one;
    out[2] = -x[i] / y[i];
    out[3] = __ushort_as_bfloat16(__bfloat16_as_ushort(x[i]) ^ 0x8000);
    out[4] = __nv_bfloat16(x[i] < y[i]);
    out[5] = __nv_bfloat16(exp(float(x[i])));
}

NEW(numbers)(float* f, double* d, int* i, long long n) {
    f[0] = rsqrt(4.0f), f[1] = fmaxf(2, NAN), f[2] = max(1.0f, 2.0f), f[3] = exp(1.0f), f[4] = __uint_as_float(0x40490fdb);
    d[0] = rsqrt(4.0), d[1] = fmax(2.0, d[0]), d[2] = exp(1.0), d[3] = erf(0.5), d[4] = fma(2.0, 3.0, 4.0);
    i[0] = min(3, -2), i[1] = __popc(255), i[2] = __clz(1), i[3] = __umulhi(1u << 31, 6), i[4] = n >> 32;
}

NEW(far_away)(const float* x, float* out, long long offset) { out[threadIdx.x] = __ldg(x - offset + threadIdx.x); }

NEW(dynamic)(const float* x, float* y) {
    extern __shared__ __align__(16) float turned[];
    turned[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = turned[blockDim.x - 1 - threadIdx.x];
}

struct alignas(16) Pack { T item[16 / sizeof(T)]; };
NEW(packs)(const Pack* x, Pack* y, int n) { if (threadIdx.x < n) y[threadIdx.x] = x[threadIdx.x]; }
NEW(table)(T* const* arrays, int n) { if (threadIdx.x < n) arrays[blockIdx.x][threadIdx.x] = T(blockIdx.x); }

NEW(forever)(int* out) {
    if (threadIdx.x > 40) __syncwarp();
    else __syncthreads();
}
NEW(absent)(int* out) {
    if (threadIdx.x < 20) out[threadIdx.x] = __shfl_down_sync(0xffffffffu, 1, 16);
}
NEW(outside)(int* out, int n) {
    __shared__ int few[4];
    few[n] = 1;
    out[0] = few[0];
}

NEW(around)(const float* x, float* y, int from, int to) { y[to] = x[from]; }

template <class Short> __device__ void pack(const float* a, const float* b, unsigned* left, unsigned* right) {
    union { Short two[2]; unsigned word; } pair;
    int group = threadIdx.x / 4, in_group = threadIdx.x % 4;
    for (int i = 0; i < 4; i++, *left++ = pair.word)
        for (int j = 0; j < 2; j++) pair.two[j] = a[(group + i % 2 * 8) * 16 + in_group * 2 + j + i / 2 * 8];
    for (int i = 0; i < 2; i++, *right++ = pair.word)
        for (int j = 0; j < 2; j++) pair.two[j] = b[(in_group * 2 + j + i * 8) * 8 + group];
}

NEW(products)(const float* a, const float* b, float* single, float* half, float* bfloat) {
    // a: 16 × 16, b: 16 × 8; the tf32 instruction takes k = 0..7, and then 8..15
    int group = threadIdx.x / 4, in_group = threadIdx.x % 4;
    float d[4] = {1, 1, 1, 1}, e[4] = {}, f[4] = {};
    for (int k = 0; k < 16; k += 8) {
        unsigned left[4], right[2];
        for (int i = 0; i < 4; i++) left[i] = round_to_tf32(a[(group + i % 2 * 8) * 16 + k + in_group + i / 2 * 4]);
        for (int i = 0; i < 2; i++) right[i] = round_to_tf32(b[(k + in_group + i * 4) * 8 + group]);
        mma_m16n8k8_tf32(d, left, right);
    }
    unsigned left[4], right[2];
    pack<__half>(a, b, left, right);
    mma_m16n8k16_f16(e, left, right);
    pack<__nv_bfloat16>(a, b, left, right);
    mma_m16n8k16_bf16(f, left, right);
    for (int i = 0; i < 4; i++) {
        int at = (group + i / 2 * 8) * 8 + in_group * 2 + i % 2;
        single[at] = d[i], half[at] = e[i], bfloat[at] = f[i];
    }
}

NEW(fetch)(const float* x, float* y, int n) {
    __shared__ alignas(16) float block[128];
    copy_async_16(block + threadIdx.x * 4, x + threadIdx.x * 4, threadIdx.x * 4 < n);
    copy_async_commit();
    copy_async_wait<0>();
    __syncthreads();
    for (int i = threadIdx.x; i < 128; i += 32) y[i] = block[i];
}
"""

MACROS = {dtype.name: (found.element, found.accumulator) for dtype, found in TYPES.items()}


def kernel(name, dtype="float32"):
    element, accumulator = MACROS[dtype]
    return RawModule(code=KERNELS, options=("--std=c++17", f"-DT={element}", f"-DA={accumulator}")).get_function(name)


def array(values, dtype="float32"):
    return FakeArray(np.array(values, dtype))


def zeros(shape, dtype="float32"):
    return FakeArray(np.zeros(shape, dtype))


def numbers(count, dtype="float32"):
    return FakeArray(np.random.default_rng(0).normal(size=count).astype(dtype))


def values(fake):
    return fake._hidden


# --- what runs ---------------------------------------------------------------------------------------------------------


def test_blocks_and_threads_know_where_they_are():
    out = zeros((2 * 3 * 4, 5 * 6 * 2), "int32")
    kernel("where")((2, 3, 4), (5, 6, 2), (out,))
    np.testing.assert_array_equal(values(out), np.arange(24)[:, None] * 1000 + np.arange(60))


@pytest.mark.parametrize("dtype", MACROS)
def test_a_grid_that_is_smaller_than_the_array(dtype):
    x, y = numbers(1000, dtype), numbers(1000, dtype)
    before = values(y).copy()
    factor = np.float64(3) if dtype == "float64" else np.float32(3)
    kernel("axpy", dtype)((3,), (64,), (x, y, factor, np.int32(999)))
    wide = np.float64 if dtype == "float64" else np.float32
    expected = (values(x).astype(wide) * factor + before.astype(wide)).astype(dtype)
    np.testing.assert_array_equal(values(y), np.append(expected[:-1], before[-1]))


def test_sums_by_a_tree_in_shared_memory():
    x, sums = array(np.arange(1000)), zeros(8)
    kernel("tree")((8,), (128,), (x, sums, np.int32(1000)))
    expected = np.append(values(x), np.zeros(24)).reshape(8, 128).sum(axis=1)
    np.testing.assert_array_equal(values(sums), expected)


def test_a_transpose_by_tiles():
    x, y = numbers((37, 50)), zeros((50, 37))
    kernel("transpose")((4, 3), (16, 16), (x, y, np.int32(37), np.int32(50)))
    np.testing.assert_array_equal(values(y), values(x).T)


@pytest.mark.parametrize("staying", [1, 31, 32, 77, 256])
def test_threads_that_left_are_not_waited_for(staying):
    out = zeros(256, "int32")
    kernel("leave_early")((2,), (256,), (out, np.int32(staying)))
    np.testing.assert_array_equal(values(out)[:staying], np.arange(staying)[::-1])
    assert not values(out)[staying:].any()


def test_shared_memory_holds_nothing_useful_at_first():
    out = zeros(32)
    kernel("uninitialized")((2,), (32,), (out,))
    assert np.isnan(values(out)).all()


def test_sums_by_exchanges_between_lanes():
    x = array(np.arange(96), "int32")
    ints, floats, doubles = zeros(96, "int32"), zeros(96), zeros(96, "float64")
    kernel("totals")((1,), (96,), (x, ints, floats, doubles))
    for out, factor in ((ints, 1), (floats, 2), (doubles, 4)):
        np.testing.assert_array_equal(values(out), np.full(96, values(x).sum() / factor))


def test_exchanges_between_lanes():
    out = zeros((64, 8), "int32")
    kernel("lanes")((1,), (64,), (out,))
    lane = np.tile(np.arange(32), 2)
    every_third = np.array(sum(1 << i for i in range(0, 32, 3)), "uint32").astype("int32")
    expected = [
        np.full(64, 5),
        np.where(lane + 3 < 32, lane + 3, lane),
        np.where(lane >= 3, lane - 3, lane),
        lane ^ 9,
        np.where(lane % 8 + 3 < 8, lane + 3, lane),
        np.full(64, every_third),
        np.repeat([0, 1], 32),
        np.repeat([1, 0], 32),
    ]
    np.testing.assert_array_equal(values(out), np.stack(expected, axis=1))


def test_half_precision():
    x, y = array([1.1, -2.3, 6e-8, 300], "float16"), array([0.3, 4.7, 1e-4, 300], "float16")
    out = zeros((4, 6), "float16")
    kernel("halves")((1,), (4,), (x, y, out, np.float16(1)))
    a, b = values(x), values(y)
    with np.errstate(over="ignore"):
        columns = [a + b, a * b - np.float16(1), -a / b, (a.astype("float32") * 1e5), a < b, np.exp(a.astype("float32"))]
        expected = np.stack([column.astype("float16") for column in columns], axis=1)
    np.testing.assert_array_equal(values(out), expected)


def test_bfloat16_is_rounded_to_the_nearest_one():
    pytest.importorskip("ml_dtypes")
    half = np.uint32(0x8000)  # of the last bit: a tie, which goes to the even one
    words = np.arange(0, 1 << 32, 65537 * 5, dtype="uint64").astype("uint32")
    cut = words & np.uint32(0xFFFF0000)
    special = np.array([0x7F7F8000, 0x7F7F7FFF, 0xFF800000, 0x7FC00000, 0x7F800001, 0x00000001, 0], "uint32")
    words = np.concatenate([words, cut + half, cut + half + 1, cut + half - 1, special], dtype="uint32")
    out, back = zeros(words.size, "bfloat16"), zeros(words.size)
    kernel("rounded")((1,), (64,), (FakeArray(words), out, back, np.int32(words.size)))
    with np.errstate(invalid="ignore"):
        expected = words.view("float32").astype("bfloat16").astype("float32")
    np.testing.assert_array_equal(values(out).astype("float32"), expected)
    np.testing.assert_array_equal(values(back), expected)


def test_bfloat16_arithmetic():
    pytest.importorskip("ml_dtypes")
    x, y = array([1.1, -2.3, 6e-40, 3e38], "bfloat16"), array([0.3, 4.7, 1e-4, 3e38], "bfloat16")
    out, one = zeros((4, 6), "bfloat16"), np.array(1, "bfloat16")[()]
    kernel("bfloats")((1,), (4,), (x, y, out, one))
    a, b = values(x), values(y)
    with np.errstate(over="ignore"):
        columns = [a + b, a * b - one, -a / b, -a, a < b, np.exp(a.astype("float32"))]
        expected = np.stack([column.astype("bfloat16") for column in columns], axis=1)
    np.testing.assert_array_equal(values(out).astype("float32"), expected.astype("float32"))


def test_short_floats_are_told_apart():
    pytest.importorskip("ml_dtypes")
    half, bfloat, out = zeros(4, "float16"), zeros(4, "bfloat16"), zeros((4, 6), "bfloat16")
    one = np.array(1, "bfloat16")[()]
    for arguments, message in (
        ((half, bfloat, out, one), "expected an array of bfloat16s for x, got an array of float16"),
        ((bfloat, bfloat, out, np.float16(1)), "expected bfloat16 for one, got numpy.float16"),
        ((bfloat, bfloat, zeros((4, 6), "int16"), one), "expected an array of bfloat16s for out, got an array of int16"),
    ):
        with pytest.raises(TypeError, match=f"bfloats: {message}"):
            kernel("bfloats")((1,), (4,), arguments)
    with pytest.raises(TypeError, match="halves: expected an array of 16-bit floats for x, got an array of bfloat16"):
        kernel("halves")((1,), (4,), (bfloat, half, zeros((4, 6), "float16"), np.float16(1)))


def test_functions_of_numbers():
    single, double, integers = zeros(5), zeros(5, "float64"), zeros(5, "int32")
    kernel("numbers")((1,), (1,), (single, double, integers, np.int64(7 << 32)))
    np.testing.assert_allclose(values(single), np.array([0.5, 2, 2, np.e, np.pi], "float32"), rtol=2e-7)
    np.testing.assert_allclose(values(double), [0.5, 2, np.e, 0.5204998778130465, 10], rtol=1e-15)
    assert values(integers).tolist() == [-2, 8, 31, 3, 7]


def test_offsets_of_64_bits():
    x, out = numbers(8), zeros(8)
    offset = 3 << 32
    far = np.uint64(x.data.ptr + 4 * offset)
    kernel("far_away")((1,), (8,), (far, out, np.int64(offset)))
    np.testing.assert_array_equal(values(out), values(x))


def test_dynamic_shared_memory():
    x, y = numbers(100), zeros(100)
    kernel("dynamic")((1,), (100,), (x, y), shared_mem=400)
    np.testing.assert_array_equal(values(y), values(x)[::-1])


def test_a_table_of_addresses():
    arrays = [zeros(4), zeros(4)]
    table = FakeArray(np.array([x.data.ptr for x in arrays], "uint64"))
    kernel("table")((2,), (32,), (table, np.int32(3)))
    assert [values(x).tolist() for x in arrays] == [[0, 0, 0, 0], [1, 1, 1, 0]]


def test_products_of_tensor_cores():
    a, b = numbers((16, 16)), numbers((16, 8))
    single, *short = (zeros((16, 8)) for _ in range(3))
    kernel("products")((1,), (32,), (a, b, single, *short))

    def rounded(x):  # to 10 bits of fraction
        return np.frombuffer(((x.view("uint32") + 0x1000) & 0xFFFFE000).tobytes(), "float32").reshape(x.shape).astype("float64")

    np.testing.assert_allclose(values(single), 1 + rounded(values(a)) @ rounded(values(b)), rtol=1e-5, atol=1e-6)
    for result, dtype in zip(short, ("float16", "bfloat16")):
        if dtype in REDUCED:
            left, right = (values(x).astype(dtype).astype("float64") for x in (a, b))
            np.testing.assert_allclose(values(result), left @ right, rtol=1e-5, atol=1e-6)


def test_asynchronous_copies():
    x, y = numbers(128), zeros(128)
    kernel("fetch")((1,), (32,), (x, y, np.int32(100)))
    np.testing.assert_array_equal(values(y), np.where(np.arange(128) < 100, values(x), 0))


# --- what is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0, np.float32(1)), r"axpy: expected 4 arguments \(x, y, factor, n\), got 3"),
        ((0, 0, np.float64(1), np.int32(4)), "axpy: expected 32-bit float for factor, got numpy.float64"),
        ((0, 0, np.float32(1), np.int64(4)), "axpy: expected 32-bit integer for n, got numpy.int64"),
        ((0, 0, np.int32(1), np.int32(4)), "axpy: expected 32-bit float for factor, got numpy.int32"),
        ((0, 0, 1.0, np.int32(4)), "axpy: expected 32-bit float for factor, got float"),
        ((0, np.int32(0), np.float32(1), np.int32(4)), "axpy: expected an array of 32-bit floats for y, got numpy.int32"),
        ((0, np.zeros(4, "float32"), np.float32(1), np.int32(4)), "expected an array of 32-bit floats for y, got ndarray"),
        ((0, 8, np.float32(1), np.int32(4)), "axpy: expected an array of 32-bit floats for y, got an array of float64"),
        ((0, 0, 0, np.int32(4)), "axpy: expected 32-bit float for factor, got an array of float32"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    stand_for = {0: zeros(4), 8: zeros(4, "float64")}
    given = tuple(stand_for[a] if type(a) is int else a for a in arguments)
    with pytest.raises(TypeError, match=message):
        kernel("axpy")((1,), (4,), given)


def test_launches_that_cuda_refuses():
    x = zeros(4)
    run = kernel("axpy")
    arguments = (x, x, np.float32(1), np.int32(4))
    for grid, block, message in (
        ((1,), (1025,), "a block of 1 to 1024 threads, got .1025, 1, 1"),
        ((1,), (32, 33), "a block of 1 to 1024 threads"),
        ((1,), (1, 1, 65), "a block of 1 to 1024 threads"),
        ((1,), (0,), "a block of 1 to 1024 threads"),
        ((0,), (32,), "a grid of at most"),
        ((1, 65536), (32,), "a grid of at most"),
        ((1, 1, 65536), (32,), "a grid of at most"),
    ):
        with pytest.raises(ValueError, match=f"axpy: expected {message}"):
            run(grid, block, arguments)
    with pytest.raises(ValueError, match="transpose: expected a block of 1 to 256 threads"):
        kernel("transpose")((1,), (32, 16), (x, x, np.int32(1), np.int32(1)))
    dynamic = kernel("dynamic")
    with pytest.raises(ValueError, match="dynamic: expected at most 49152 bytes of dynamic shared memory, got 60000"):
        dynamic((1,), (4,), (x, x), shared_mem=60000)
    with pytest.raises(RuntimeError, match="4 bytes at 12 are outside of the 12 bytes of dynamic shared memory"):
        dynamic((1,), (4,), (x, x), shared_mem=12)
    with patch.object(dynamic, "max_dynamic_shared_size_bytes", 65536):
        dynamic((1,), (4,), (x, x), shared_mem=60000)


def test_what_a_gpu_leaves_undefined():
    out = zeros(64, "int32")
    with pytest.raises(RuntimeError, match="forever: threads wait for each other forever"):
        kernel("forever")((1,), (64,), (out,))
    with pytest.raises(
        RuntimeError, match=r"absent: lane 4 reads lane 20, which takes no part \(block 0, 0, 0, thread 4, 0, 0\)"
    ):
        kernel("absent")((1,), (64,), (out,))
    with pytest.raises(RuntimeError, match=r"outside: kernels.cu:\d+: index 4 is outside of the array"):
        kernel("outside")((1,), (1,), (out, np.int32(4)))
    with pytest.raises(RuntimeError, match=r"packs: kernels.cu:\d+: an access to the null or misaligned address 0x"):
        kernel("packs")((1,), (1,), (zeros(9)[1:], zeros(8), np.int32(1)))
    with pytest.raises(RuntimeError, match=r"packs: kernels.cu:\d+: an access to the null or misaligned address 0x0"):
        kernel("packs")((1,), (1,), (np.uint64(0), zeros(8), np.int32(1)))
    kernel("packs")((1,), (8,), (zeros(8), zeros(8), np.int32(2)))  # and it goes on after that
    test_threads_that_left_are_not_waited_for(77)


@pytest.mark.parametrize(("start", "end"), [(0, 16), (3, 9)])
def test_accesses_outside_of_the_arrays(start, end):
    x, y = zeros(16)[start:end], zeros(16)[start:end]
    run, last = kernel("around"), end - start - 1
    for places in ((0, last), (last, 0)):
        run((1,), (1,), (x, y, *map(np.int32, places)))
    for places in ((0, last + 1), (-1, 0), (last + 1, 0), (0, -1), (1 << 20, 0)):
        with pytest.raises(RuntimeError, match=r"around: 4 bytes at 0x.* in none of the arrays that the kernel was given"):
            run((1,), (1,), (x, y, *map(np.int32, places)))
    with pytest.raises(RuntimeError, match=r"16 bytes at 0x.* in none of the arrays"):
        kernel("packs")((1,), (8,), (zeros(8), zeros(7), np.int32(2)))


def test_kernels_that_do_not_compile():
    with pytest.raises(RuntimeError, match=r"(?s)the kernels do not compile:.*kernels.cu:2:.*nowhere"):
        RawModule('\nextern "C" __global__ void wrong(int* out) { out[0] = nowhere; }')
    with pytest.raises(ValueError, match=r"no kernel 'missing', only .*axpy"):
        kernel("missing")


def test_kernels_of_one_name_are_not_the_same():
    text = 'extern "C" __global__ void same(int* out) { out[0] = NUMBER; }'
    out = zeros(1, "int32")
    functions = {number: RawModule(text, (f"-DNUMBER={number}",)).get_function("same") for number in (1, 2)}
    for number, function in functions.items():
        function((1,), (1,), (out,))
        assert values(out).tolist() == [number]


@contextmanager
def no_compiler():
    with patch.object(cuda_emulation, "compiler", lambda: None):
        yield


def test_without_a_compiler(monkeypatch):
    with no_compiler():
        monkeypatch.delenv("MINIGRAD_REQUIRE_TORCH", raising=False)
        with pytest.raises(pytest.skip.Exception, match="no C\\+\\+ compiler"):
            RawModule("")
        monkeypatch.setenv("MINIGRAD_REQUIRE_TORCH", "1")
        with pytest.raises(pytest.fail.Exception, match="no C\\+\\+ compiler"):
            RawModule("")


# --- the rest of cupy.cuda -------------------------------------------------------------------------------------------------


def test_streams_events_and_pools():
    with fake_cupy() as cupy:
        assert isinstance(cupy, FakeCupy) and cupy.RawModule is RawModule
        cuda = cupy.cuda
        stream = cuda.Stream(non_blocking=True)
        assert cuda.get_current_stream().ptr == cuda.Stream.null.ptr == 0
        with stream:
            assert cuda.get_current_stream() is stream and stream.ptr != 0
        assert cuda.get_current_stream() is cuda.Stream.null
        start, end = cuda.Event(), cuda.Event()
        for event in (start, end):
            event.record()
            event.synchronize()
        assert cuda.get_elapsed_time(start, end) >= 0
        properties = cuda.runtime.getDeviceProperties(0)
        assert (properties["multiProcessorCount"], properties["major"], properties["minor"]) == (132, 9, 0)
        free, total = cuda.runtime.memGetInfo()
        assert 0 < free < total
        pool = cupy.get_default_memory_pool()
        pool.free_all_blocks()
        assert pool.used_bytes() == pool.total_bytes() == 0
