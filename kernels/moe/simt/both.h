// For functions that the host and the device both call.
#pragma once

#if defined(__CUDACC__)
#define BOTH __host__ __device__ constexpr
#else
#define BOTH constexpr
#endif
