// Both products as one stream of weights, for BF16 activations.
#include "impls/mxfp4_stream.cuh"
