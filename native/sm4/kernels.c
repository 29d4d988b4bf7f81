/* The kernels, best first. */
#include "sm4.h"

const struct sm4_kernel *const sm4_kernels[] = {
#if defined(__x86_64__)
    &sm4_avx512_gfni, &sm4_avx2_gfni, &sm4_avx512, &sm4_avx2, &sm4_aesni,
#endif
    &sm4_scalar,
};
const size_t sm4_kernel_count = sizeof sm4_kernels / sizeof *sm4_kernels;
