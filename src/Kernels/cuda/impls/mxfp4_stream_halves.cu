// The stream with tiles of half the depth at its end, for one token. A source of its own, for what that takes costs every tile time: the other kernels have none of it.
#define MOE_STREAM_HALVES
#include "impls/mxfp4_stream.cuh"
