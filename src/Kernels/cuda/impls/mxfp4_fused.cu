// Both products in one launch, for BF16 activations.
#include "impls/mxfp4_fused.cuh"
