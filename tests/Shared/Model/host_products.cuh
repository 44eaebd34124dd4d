// What a grouped product of the sources finds beside its operands, and what a test holds against it.
#pragma once
#include "host_ptx.cuh"

/// The words of ProductCounters (product_counters.cuh) before a product: the first finds none of its tiles stored, the second all, but one of the
/// expert `unfinished`.
struct HostCounters
{
    std::vector<int> words, stored;

    HostCounters(const int* offsets, int experts, int tile_tokens, int stripes_of_first, bool is_second, int unfinished = -1)
        : words(2 + experts), stored(experts)
    {
        for (int e = 0; e < experts; e++)
        {
            stored[e] = ceil_div(offsets[e + 1] - offsets[e], tile_tokens) * stripes_of_first;
            words[2 + e] = is_second ? stored[e] - (e == unfinished) : 0;
        }
    }

    /// Whether all tiles of the first product have been counted.
    bool is_all_stored() const { return std::equal(stored.begin(), stored.end(), words.begin() + 2); }
};
