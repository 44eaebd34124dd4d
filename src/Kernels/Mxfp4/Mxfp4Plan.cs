using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Which variant runs a number of tokens. The thresholds of 9.0 were measured on an H100, bench/NOTES.md has the
/// runs.</summary>
public sealed class Mxfp4Plan
{
    /// <summary>So many have tiles for many rounds of all blocks, and gain from fewer and larger ones; with fewer, small ones end more evenly.</summary>
    private const int ManyExperts = 64;

    /// <summary>Up to so many tiles of 128 rows the first product has too few for rounds of all blocks, and tiles of 64 rows give each multiprocessor more.</summary>
    private const int FewTiles = 512;

    /// <summary>Those of the H100 and of the H200.</summary>
    private const int Multiprocessors = 132;

    /// <summary>How much longer the second product may take by a last round of tiles that is not full, before tiles of fewer rows are chosen.</summary>
    private const double UnevenEnd = 1.25;

    /// <summary>Tokens of the smallest tiles, the only ones with kernels for codes that are dealt for E4M3.</summary>
    internal const int FewTokens = 32;

    /// <summary>Pairs of an expert for which those tiles are chosen, whatever else the plan looks at.</summary>
    private const double FewPairs = 11;

    private readonly MoeLayerShape _shape;
    private readonly Mxfp4Variant? _forced;
    private readonly Mxfp4Variant[] _available;
    private readonly bool _runsGrouped;
    private readonly bool _isCommon;
    private readonly bool _canStream;

    /// <summary>Makes the plan of a layer on a device.</summary>
    /// <param name="architecture">The device's architecture.</param>
    /// <param name="shape">The layer's shape.</param>
    /// <param name="forced">The one variant that is to run every number of tokens; null to choose.</param>
    /// <param name="activations">What activations are rounded to.</param>
    /// <param name="dealing">How the weights hold their codes. Those that are dealt for E4M3 have kernels only for 9.0, for few tokens, the common activation and MXFP8.</param>
    /// <exception cref="MoeException">The device cannot run the forced one.</exception>
    public Mxfp4Plan(
        CudaArchitecture architecture,
        MoeLayerShape shape,
        Mxfp4Variant? forced = null,
        Mxfp4Activations activations = Mxfp4Activations.BFloat16,
        Mxfp4Dealing dealing = Mxfp4Dealing.BFloat16)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentCheck.ThrowIfUndefined(activations);
        ArgumentCheck.ThrowIfUndefined(dealing);
        if (forced is { } asked && !Mxfp4Variant.All.Contains(asked))
        {
            throw new ArgumentOutOfRangeException(
                nameof(forced), asked, $"No variant has {nameof(asked.Kind)} {asked.Kind}, {nameof(asked.Tokens)} {asked.Tokens} and {nameof(asked.Rows)} {asked.Rows}.");
        }

        _shape = shape;
        Activations = activations;
        Dealing = dealing;
        _runsGrouped = architecture.HasWgmma;
        _isCommon = Mxfp4GroupedTile.ActivationOf(shape) == ActivationConstants.Silu;
        if (forced is Mxfp4Variant wanted && wanted.Kind != Mxfp4Kind.Mma && !_runsGrouped)
        {
            throw new MoeException(MoeReason.Configuration, $"The kernels {wanted} were asked for, which cannot run on {architecture}.");
        }

        _canStream = _runsGrouped && Mxfp4StreamKernels.Runs(shape, activations);

        // What is asked for and has no kernels for the layer's activation runs as if nothing were.
        _forced = forced is Mxfp4Variant other && (other.Kind == Mxfp4Kind.Stream ? _canStream : _isCommon || Mxfp4Variant.OfAnyActivation.Contains(other))
            && (dealing == Mxfp4Dealing.BFloat16 || (other.Kind != Mxfp4Kind.Mma && other.Tokens <= FewTokens)) ? forced : null;
        _available = [.. Mxfp4Variant.All.Where(CanRun)];
    }

    /// <summary>What activations are rounded to.</summary>
    public Mxfp4Activations Activations { get; }

    /// <summary>How the weights hold their codes.</summary>
    public Mxfp4Dealing Dealing { get; }

    /// <summary>The variants that may be chosen.</summary>
    public IReadOnlyList<Mxfp4Variant> Available => _forced is { Kind: not Mxfp4Kind.Stream } forced ? [forced] : _available;

    /// <summary>As <see cref="CudaExperts.HasCompany"/>: other work then needs multiprocessors, which a stream would fill.</summary>
    internal bool HasCompany { get; set; }

    /// <summary>Whether the company is in the stream.</summary>
    internal bool StreamsShared { get; set; }

    /// <summary>Whether the stream runs few tokens, where it has no company.</summary>
    internal bool Streams => _forced is { } forced ? forced.Kind == Mxfp4Kind.Stream : _canStream;

    /// <summary>The variant that runs so many tokens.</summary>
    public Mxfp4Variant Choose(int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        if (_forced is Mxfp4Variant forced && (forced.Kind != Mxfp4Kind.Stream || tokens <= Mxfp4StreamKernels.MaxTokens))
        {
            return forced;
        }

        double pairsPerExpert = (double)tokens * _shape.TopK / _shape.ExpertCount;
        if (Dealing == Mxfp4Dealing.E4M3)
        {
            // More are for FP8 products.
            pairsPerExpert = Math.Min(pairsPerExpert, FewPairs);
        }

        return !_runsGrouped ? Mxfp4Variant.Mma64
            : Streams && (StreamsShared || !HasCompany) && tokens <= Mxfp4StreamKernels.MaxTokens ? Mxfp4Variant.Stream8x64
            : !_isCommon ? ForAnyActivation(pairsPerExpert)
            : _shape.LocalExpertCount >= ManyExperts ? ForManyExperts(pairsPerExpert, HasFewTiles(tokens))
            : ForFewExperts(pairsPerExpert);
    }

    /// <summary>The most tokens of a batch that kernels other than <see cref="Mxfp4Kind.Grouped"/> run.</summary>
    /// <param name="maxTokens">The most that come.</param>
    public int MostUngrouped(int maxTokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxTokens);
        return Choose(maxTokens).Kind != Mxfp4Kind.Grouped ? maxTokens
            : Streams ? Math.Min(maxTokens, Mxfp4StreamKernels.MaxTokens)
            : 0;
    }

    /// <summary>The tile for most pairs per expert. Where experts have 128 on average, some have more than 144, and few more than 160. Measured with 32 and 128 experts.</summary>
    private Mxfp4Variant Largest => _isCommon ? Mxfp4Variant.Grouped160 : Mxfp4Variant.Grouped144;

    private bool CanRun(Mxfp4Variant variant) => variant.Kind switch
    {
        Mxfp4Kind.Mma => Dealing == Mxfp4Dealing.BFloat16,
        Mxfp4Kind.Stream => _canStream,
        _ when Dealing == Mxfp4Dealing.E4M3 => _runsGrouped && _isCommon && variant.Tokens <= FewTokens,
        _ when variant.Tokens > Mxfp4Variant.Grouped96.Tokens => _runsGrouped && variant == Largest,
        _ => _runsGrouped && (_isCommon || Mxfp4Variant.OfAnyActivation.Contains(variant)),
    };

    private bool HasFewTiles(int tokens)
    {
        double experts = _shape.LocalExpertCount * (1 - Math.Pow(1 - (1.0 / _shape.ExpertCount), (double)tokens * _shape.TopK));
        return experts * ((_shape.GateUpSize + 127) / 128) <= FewTiles;
    }

    // Of the fewer tiles that are compiled for activations other than the common one.
    private static Mxfp4Variant ForAnyActivation(double pairsPerExpert) => pairsPerExpert switch
    {
        < 12 => Mxfp4Variant.Grouped32x128,
        < 96 => Mxfp4Variant.Grouped80,
        _ => Mxfp4Variant.Grouped144,
    };

    private Mxfp4Variant ForFewExperts(double pairsPerExpert) => pairsPerExpert switch
    {
        < 0.5 => Mxfp4Variant.Grouped32x64,
        < 3 => Mxfp4Variant.Grouped32x128,
        < 12 => Mxfp4Variant.Grouped32x64,
        < 28 => RoundsOfSecond(Mxfp4Variant.Grouped80x192) > UnevenEnd * RoundsOfSecond(Mxfp4Variant.Grouped32x128)
            ? Mxfp4Variant.Grouped32x128
            : Mxfp4Variant.Grouped80x192,
        < 72 => Mxfp4Variant.Grouped80,
        < 96 => Mxfp4Variant.Grouped96,
        _ => Largest,
    };

    /// <summary>Rounds of all blocks that the second product takes with one tile an expert and stripe, for each that it would take if the last were full.</summary>
    private double RoundsOfSecond(Mxfp4Variant variant)
    {
        int stripes = (_shape.ExpertHiddenSize + variant.Rows - 1) / variant.Rows;
        double rounds = (double)_shape.LocalExpertCount * stripes / (Mxfp4GroupedTile.BlocksOf(variant) * Multiprocessors);
        return Math.Ceiling(rounds) / rounds;
    }

    private Mxfp4Variant ForManyExperts(double pairsPerExpert, bool hasFewTiles) => pairsPerExpert switch
    {
        < 12 => hasFewTiles ? Mxfp4Variant.Grouped32x64 : Mxfp4Variant.Grouped32x128,
        < 60 => Mxfp4Variant.Grouped80,
        < 96 => Mxfp4Variant.Grouped96,
        _ => Largest,
    };
}

/// <summary>What the products' activations are rounded to. The products multiply BF16 numbers either way.</summary>
public enum Mxfp4Activations
{
    /// <summary>BF16.</summary>
    BFloat16,

    /// <summary>
    /// MXFP8: E4M3 values with an E8M0 scale for each 32 (<c>mxfp8_rule.cuh</c>). The first product's rows are rounded so, and it rounds its own results so.
    /// BF16 has a number for each but those beyond its range.
    /// </summary>
    Mxfp8,
}

/// <summary>How a word of the weights holds its codes.</summary>
public enum Mxfp4Dealing
{
    /// <summary>As they are loaded, so that BF16 numbers take the fewest instructions (<c>mxfp4.cuh</c>).</summary>
    BFloat16,

    /// <summary>Dealt anew for products of E4M3 numbers (<c>mxfp4_e4m3.cuh</c>). BF16 takes 17 instructions for 8 codes then, and 13 else.</summary>
    E4M3,
}
