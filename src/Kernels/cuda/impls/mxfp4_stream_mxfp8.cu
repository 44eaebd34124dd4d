// Both products as one stream of weights, for activations that are rounded to MXFP8.
#include "epilogue/round_mxfp8.cuh"
#include "formats/mxfp4_e4m3.cuh"
#include "impls/mxfp4_stream.cuh"
