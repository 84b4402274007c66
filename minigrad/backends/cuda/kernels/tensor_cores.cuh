// Products on tensor cores by mma.sync: matrices of a warp from shared memory to registers, and sums of their products. Words of
// 32 bits are a float or two short floats; which lane holds which numbers is in CUDA's manual, and in the emulation.

#ifndef MINIGRAD_EMULATED
__device__ inline unsigned round_to_tf32(float x) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}

// d += a · b, of 16 rows and 8 columns, and K numbers of the type that PTX calls so.
#define MMA(K, TYPE)                                                                                                           \
    __device__ inline void mma_m16n8k##K##_##TYPE(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {             \
        asm volatile("mma.sync.aligned.m16n8k" #K ".row.col.f32." #TYPE "." #TYPE ".f32 "                                      \
                     "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                                                   \
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                          \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                                      \
    }

MMA(8, tf32)
MMA(16, f16)
MMA(16, bf16)

// Four matrices of 8 rows of 16 bytes: lane 8 i + r has the address of row r of matrix i, and gets word lane % 4 of row
// lane / 4 of each.
__device__ inline void load_matrices(unsigned (&words)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3]) : "r"(shared_address(row)) : "memory");
}

// The same for matrices of 8 × 8 numbers of 16 bits, which it transposes.
__device__ inline void load_transposed(unsigned (&words)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3]) : "r"(shared_address(row)) : "memory");
}
#else
__device__ inline const unsigned short* row_of_lane(const void* row, int lane) {
    return (const unsigned short*)__shfl_sync(0xffffffffu, (unsigned long long)row, lane);
}

__device__ inline void load_matrices(unsigned (&words)[4], const void* row) {
    const int lane = threadIdx.x % 32;
    for (int i = 0; i < 4; i++) {
        const unsigned short* found = row_of_lane(row, 8 * i + lane / 4) + lane % 4 * 2;
        words[i] = found[0] | unsigned(found[1]) << 16;
    }
}

__device__ inline void load_transposed(unsigned (&words)[4], const void* row) {
    const int lane = threadIdx.x % 32;
    for (int i = 0; i < 4; i++) {
        const unsigned short* even = row_of_lane(row, 8 * i + lane % 4 * 2);
        const unsigned short* odd = row_of_lane(row, 8 * i + lane % 4 * 2 + 1);
        words[i] = even[lane / 4] | unsigned(odd[lane / 4]) << 16;
    }
}
#endif

// sum += a × b for MI × 16 rows and NI × 8 columns of a warp, floats that are rounded to TF32 in place.
template <int MI, int NI>
__device__ inline void multiply_rounded(float (&sum)[MI][NI][4], unsigned (&a)[MI][4], unsigned (&b)[NI][2]) {
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
        for (int word = 0; word < 4; word++) a[i][word] = round_to_tf32(__uint_as_float(a[i][word]));
#pragma unroll
    for (int j = 0; j < NI; j++) {
#pragma unroll
        for (int word = 0; word < 2; word++) b[j][word] = round_to_tf32(__uint_as_float(b[j][word]));
#pragma unroll
        for (int i = 0; i < MI; i++) mma_m16n8k8_tf32(sum[i][j], a[i], b[j]);
    }
}

// The same for short floats.
template <int MI, int NI>
__device__ inline void multiply_pairs(float (&sum)[MI][NI][4], unsigned (&a)[MI][4], unsigned (&b)[NI][2]) {
#pragma unroll
    for (int j = 0; j < NI; j++)
#pragma unroll
        for (int i = 0; i < MI; i++) {
            if constexpr (IS_BFLOAT16) mma_m16n8k16_bf16(sum[i][j], a[i], b[j]);
            else mma_m16n8k16_f16(sum[i][j], a[i], b[j]);
        }
}

// A float becomes two of TF32, the nearest one and the rest: the word keeps the first. The rest may have one bit too many, which
// tensor cores do not see: they read 19 of 32.
__device__ inline unsigned split_off_rest(unsigned& word) {
    const float whole = __uint_as_float(word);
    word = word + 0x1000 & ~0x1fffu;
    return __float_as_uint(whole - __uint_as_float(word));
}

// The same for floats, with errors as of float: all products but that of two rests, which is below float's last bit (Ootomo and
// Yokota 2022, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32 theoretical peak performance").
// Where float rounds a sum, tensor cores cut it off, and errors of one sign add up: so a sum of theirs begins at zero, has the
// small products first, and ends after 8 of each kind. What is not finite becomes nan.
template <int MI, int NI>
__device__ inline void multiply_exactly(float (&sum)[MI][NI][4], unsigned (&a)[MI][4], unsigned (&b)[NI][2]) {
    unsigned a_rest[MI][4];
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
        for (int word = 0; word < 4; word++) a_rest[i][word] = split_off_rest(a[i][word]);
#pragma unroll
    for (int j = 0; j < NI; j++) {
        const unsigned b_rest[2] = {split_off_rest(b[j][0]), split_off_rest(b[j][1])};
        float part[MI][4] = {};
#pragma unroll
        for (int i = 0; i < MI; i++) mma_m16n8k8_tf32(part[i], a_rest[i], b[j]);
#pragma unroll
        for (int i = 0; i < MI; i++) mma_m16n8k8_tf32(part[i], a[i], b_rest);
#pragma unroll
        for (int i = 0; i < MI; i++) mma_m16n8k8_tf32(part[i], a[i], b[j]);
#pragma unroll
        for (int i = 0; i < MI; i++)
#pragma unroll
            for (int word = 0; word < 4; word++) sum[i][j][word] += part[i][word];
    }
}

