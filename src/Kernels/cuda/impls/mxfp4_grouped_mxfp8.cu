// The products for activations that are rounded to MXFP8.
#include "epilogue/round_mxfp8.cuh"
#include "formats/mxfp4_e4m3.cuh"
#include "impls/mxfp4_grouped.cuh"
