// The products for BF16 activations.
#include "impls/mxfp4_grouped.cuh"
