// The products for BF16 activations.
#include "impls/mxfp4_mma.cuh"

template <typename TActivation>
__global__ void __launch_bounds__(kThreads, 1) moe_mxfp4_mma_product1(const __grid_constant__ Mxfp4MmaParameters p)
{
    product<true, StoreBf16, TActivation>(p);
}

extern "C" __global__ void __launch_bounds__(kThreads, 1) moe_mxfp4_mma_product2(const __grid_constant__ Mxfp4MmaParameters p)
{
    product<false, StoreBf16>(p);
}
