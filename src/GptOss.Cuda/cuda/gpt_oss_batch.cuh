// A batch's tokens, and the pages that their texts' keys and values lie in.
#pragma once
#include "ptx/ptx.cuh"

/// Positions of a page, which has keys and values of all layers.
constexpr int kPagePositions = 64;

struct BatchToken
{
    u16* const* pages;  // of its text
    int id;
    int position;
};

/// Where a layer's keys and values lie in a page: keys [key-value head][position][head size], behind them values [key-value head][head size][position],
/// both BF16.
struct CacheLayer
{
    i64 first;  // elements from the page's begin
    int heads;
    int head_size;

    __device__ __forceinline__ u16* keys(const BatchToken& token, int head, int position) const
    {
        return page(token, position) + (i64)(head * kPagePositions + position % kPagePositions) * head_size;
    }

    /// The values' first elements at a position; further ones are kPagePositions apart.
    __device__ __forceinline__ u16* values(const BatchToken& token, int head, int position) const
    {
        return page(token, position) + (i64)(heads + head) * kPagePositions * head_size + position % kPagePositions;
    }

  private:
    __device__ __forceinline__ u16* page(const BatchToken& token, int position) const
    {
        return token.pages[position / kPagePositions] + first;
    }
};
