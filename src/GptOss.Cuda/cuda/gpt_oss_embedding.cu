// A rank's part of the embedding: rows of the tokens that it has, and nothing of others; the ranks' sum is the embedding.
#include "gpt_oss_batch.cuh"

struct EmbeddingParameters
{
    const u16* embedding;      // BF16 [count, width]
    const BatchToken* tokens;
    u16* part;                 // BF16 [tokens, width]
    int first;                 // the first token that the rank has
    int count;                 // how many it has
    int width;                 // a multiple of 8
    int reserved;
};

/// Blocks of 256 threads: grid (tokens).
extern "C" __global__ void __launch_bounds__(256) moe_embed_part(const __grid_constant__ EmbeddingParameters p)
{
    // This comes right behind the copy of the tokens, which launches that follow read before their wait.
    wait_for_previous_launch();
    allow_next_launch();
    const int row = p.tokens[blockIdx.x].id - p.first;
    const bool has = row >= 0 && row < p.count;
    uint4* to = (uint4*)(p.part + (i64)blockIdx.x * p.width);
    for (int i = threadIdx.x; i < p.width / 8; i += 256)
    {
        to[i] = has ? ((const uint4*)(p.embedding + (i64)row * p.width))[i] : make_uint4(0, 0, 0, 0);
    }
}
