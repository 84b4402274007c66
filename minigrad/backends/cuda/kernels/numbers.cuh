// What all kernels start with. In front of it, T is declared as the type in memory (float, double or __half), and A as the type
// that is computed in (float for __half). Threads read T, compute in A, and write T.

__device__ inline float wide(float x) { return x; }
__device__ inline double wide(double x) { return x; }
__device__ inline float wide(__half x) { return __half2float(x); }

template <class To> __device__ inline To narrow(A x) { return To(x); }
template <> __device__ inline __half narrow<__half>(A x) { return __float2half(float(x)); }

// 16 bytes of an array, which one instruction reads or writes.
struct alignas(16) Pack { T item[16 / sizeof(T)]; };
constexpr int PACK = 16 / sizeof(T);
