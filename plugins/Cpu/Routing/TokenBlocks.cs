namespace Moe.Plugins.Cpu;

/// <summary>
/// The pairs (token, k-th choice) of a batch in expert order, cut into blocks, so that each expert's weights are read once for all of
/// its tokens. Made once for the largest batch.
/// </summary>
internal sealed class TokenBlocks
{
    private readonly int[] _offsets;
    private readonly int[] _pairAt;
    private readonly int[] _placeOf;
    private readonly TokenBlock[] _blocks;
    private readonly int[] _firstBlock;
    private readonly int[] _active;

    public TokenBlocks(int experts, int maxPairs)
    {
        _offsets = new int[experts + 1];
        _pairAt = new int[maxPairs];
        _placeOf = new int[maxPairs];
        _blocks = new TokenBlock[maxPairs];
        _firstBlock = new int[experts + 1];
        _active = new int[experts];
    }

    /// <summary>Number of blocks.</summary>
    public int Count { get; private set; }

    /// <summary>Experts that have any token.</summary>
    public int ActiveExperts { get; private set; }

    public TokenBlock this[int index] => _blocks[index];

    /// <summary>The expert with that number among those that have tokens.</summary>
    public int Expert(int active) => _active[active];

    /// <summary>The blocks of the expert with that number among those that have tokens.</summary>
    public ReadOnlySpan<TokenBlock> Of(int active) => _blocks.AsSpan(_firstBlock[active], _firstBlock[active + 1] - _firstBlock[active]);

    /// <summary>The pair (token · top-k + choice) at a place in expert order.</summary>
    public int PairAt(int place) => _pairAt[place];

    /// <summary>The place of a pair in expert order; −1 where its expert is not here.</summary>
    public int PlaceOf(int pair) => _placeOf[pair];

    /// <summary>Sorts the pairs of a batch; those of one expert stay in their order.</summary>
    /// <param name="ids">The expert of each pair; null sends all to the first.</param>
    /// <param name="pairs">Pairs.</param>
    /// <param name="maxBlock">The most pairs of a block.</param>
    /// <param name="firstExpert">The id of the first expert that is here; pairs of others have no place.</param>
    public unsafe void Sort(int* ids, int pairs, int maxBlock, int firstExpert = 0)
    {
        Array.Clear(_offsets);
        for (int pair = 0; pair < pairs; pair++)
        {
            int expert = ids is null ? 0 : ids[pair] - firstExpert;
            if ((uint)expert < (uint)_active.Length)
            {
                _offsets[expert + 1]++;
            }
        }

        Count = 0;
        ActiveExperts = 0;
        for (int expert = 0; expert < _offsets.Length - 1; expert++)
        {
            int start = _offsets[expert];
            int tokens = _offsets[expert + 1];
            _offsets[expert + 1] += start;
            if (tokens > 0)
            {
                _active[ActiveExperts] = expert;
                _firstBlock[ActiveExperts++] = Count;
                Cut(expert, start, tokens, maxBlock);
            }
        }

        _firstBlock[ActiveExperts] = Count;
        for (int pair = 0; pair < pairs; pair++)
        {
            int expert = ids is null ? 0 : ids[pair] - firstExpert;
            if ((uint)expert < (uint)_active.Length)
            {
                int place = _offsets[expert]++;
                _pairAt[place] = pair;
                _placeOf[pair] = place;
            }
            else
            {
                _placeOf[pair] = -1;
            }
        }
    }

    private void Cut(int expert, int start, int tokens, int maxBlock)
    {
        for (int blocks = (tokens + maxBlock - 1) / maxBlock; blocks > 0; blocks--)
        {
            // Even shares: a block of few tokens costs nearly as much as a full one.
            int size = (tokens + blocks - 1) / blocks;
            _blocks[Count++] = new TokenBlock(expert, start, size);
            start += size;
            tokens -= size;
        }
    }
}
