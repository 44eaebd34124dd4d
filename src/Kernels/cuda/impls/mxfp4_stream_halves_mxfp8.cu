// The same for activations that are rounded to MXFP8.
#define MOE_STREAM_HALVES
#include "epilogue/round_mxfp8.cuh"
#include "formats/mxfp4_e4m3.cuh"
#include "impls/mxfp4_stream.cuh"
