using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Which variant runs a number of tokens. The thresholds of 9.0 were measured on an H100, bench/NOTES.md has the runs; the others
/// are guesses.</summary>
public sealed class Mxfp4Plan
{
    /// <summary>The most that <see cref="Splits"/> returns.</summary>
    internal const int MaxSplits = 2;

    private readonly MoeLayerShape _shape;
    private readonly Mxfp4Variant? _forced;
    private readonly Mxfp4Variant[] _available;

    /// <summary>Makes the plan of a layer on a device.</summary>
    /// <param name="architecture">The device's architecture.</param>
    /// <param name="sharedBytes">The most shared memory that a block of it may have.</param>
    /// <param name="shape">The layer's shape.</param>
    /// <param name="forced">The one variant that is to run every number of tokens; null to choose.</param>
    /// <param name="activations">What activations are rounded to.</param>
    /// <exception cref="MoeException">The device cannot run the forced one.</exception>
    public Mxfp4Plan(CudaArchitecture architecture, int sharedBytes, MoeLayerShape shape, Mxfp4Variant? forced = null,
        Mxfp4Activations activations = Mxfp4Activations.BFloat16)
    {
        ArgumentNullException.ThrowIfNull(shape);
        _shape = shape;
        _forced = forced;
        Activations = activations;
        _available = [.. Mxfp4Variant.All.Where(variant => Runs(variant, architecture, sharedBytes, shape, activations))];
        if (forced is Mxfp4Variant wanted && !_available.Contains(wanted))
        {
            throw new MoeException(
                MoeReason.Configuration,
                $"The kernels {wanted} were asked for, which cannot run hidden {shape.HiddenSize} and intermediate {shape.IntermediateSize} on {architecture}.");
        }
    }

    /// <summary>What activations are rounded to.</summary>
    public Mxfp4Activations Activations { get; }

    /// <summary>The variants that may be chosen.</summary>
    public IReadOnlyList<Mxfp4Variant> Available => _forced is Mxfp4Variant forced ? [forced] : _available;

    /// <summary>The variant that runs so many tokens.</summary>
    public Mxfp4Variant Choose(int tokens)
    {
        if (_forced is Mxfp4Variant forced)
        {
            return forced;
        }

        double pairsAnExpert = (double)tokens * _shape.TopK / _shape.ExpertCount;
        if (IsAvailable(Mxfp4Variant.Grouped64))
        {
            return pairsAnExpert switch
            {
                < 24 => Mxfp4Variant.Grouped64,
                < 48 => Mxfp4Variant.Grouped64Tall,
                < 96 => Mxfp4Variant.Grouped128,
                _ => Mxfp4Variant.Grouped256,
            };
        }

        Mxfp4Variant few = tokens <= 8 || pairsAnExpert <= 2 ? Mxfp4Variant.Decode8 : Mxfp4Variant.Decode16;
        return pairsAnExpert <= 8 && IsAvailable(few) ? few : Mxfp4Variant.Mma64;
    }

    /// <summary>Parts of the second product's inner dimension: one token's groups do not divide evenly among the multiprocessors.</summary>
    public static int Splits(int pairs) => pairs <= 4 ? MaxSplits : 1;

    /// <summary>Bytes of the largest partial result of up to so many tokens.</summary>
    public long MaxPartialBytes(int maxTokens)
    {
        long most = 0;
        for (int tokens = 1; tokens <= maxTokens; tokens++)
        {
            int pairs = tokens * _shape.TopK;
            int perPair = Choose(tokens).Kind == Mxfp4Kind.Decode ? Splits(pairs) * sizeof(float) : sizeof(ushort);
            most = Math.Max(most, (long)pairs * perPair * _shape.HiddenSize);
        }

        return most;
    }

    private bool IsAvailable(Mxfp4Variant variant) => Array.IndexOf(_available, variant) >= 0;

    private static bool Runs(
        Mxfp4Variant variant, CudaArchitecture architecture, int sharedBytes, MoeLayerShape shape, Mxfp4Activations activations) => variant.Kind switch
    {
        Mxfp4Kind.Decode => architecture.Major >= 9 && Mxfp4DecodeLayout.For(variant.Tokens, shape, sharedBytes, activations) is not null,
        Mxfp4Kind.Grouped => architecture.Number == Mxfp4GroupedKernels.ArchitectureNumber,
        _ => true,
    };
}
