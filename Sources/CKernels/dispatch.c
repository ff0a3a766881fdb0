#include "CKernels.h"

extern const l2s_kernels l2s_kernels_portable;
#if defined(__x86_64__)
extern const l2s_kernels l2s_kernels_avx2, l2s_kernels_avx512, l2s_kernels_avx512vnni;
#endif

const l2s_kernels *l2s_kernels_for(l2s_level level) {
    if (level == L2S_PORTABLE) return &l2s_kernels_portable;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (level == L2S_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &l2s_kernels_avx2;
    if (level >= L2S_AVX512 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl")) {
        if (level == L2S_AVX512) return &l2s_kernels_avx512;
        if (level == L2S_AVX512_VNNI && __builtin_cpu_supports("avx512vnni"))
            return &l2s_kernels_avx512vnni;
    }
#endif
    return 0;
}

l2s_level l2s_best_level(void) {
    if (l2s_kernels_for(L2S_AVX512_VNNI)) return L2S_AVX512_VNNI;
    if (l2s_kernels_for(L2S_AVX512)) return L2S_AVX512;
    if (l2s_kernels_for(L2S_AVX2)) return L2S_AVX2;
    return L2S_PORTABLE;
}
