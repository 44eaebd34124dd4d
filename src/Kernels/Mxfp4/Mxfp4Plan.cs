using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Which variant runs a number of tokens. The thresholds were measured on an H100; bench/NOTES.md has the runs.</summary>
public sealed class Mxfp4Plan
{
    private readonly MoeLayerShape _shape;
    private readonly Mxfp4Variant? _forced;
    private readonly CudaArchitecture _architecture;
    private readonly int _sharedBytes;

    /// <summary>Makes the plan of a layer on a device.</summary>
    /// <param name="architecture">The device's architecture.</param>
    /// <param name="sharedBytes">The most shared memory that a block of it may have.</param>
    /// <param name="shape">The layer's shape.</param>
    /// <param name="forced">The one variant that is to run every number of tokens; null to choose.</param>
    /// <exception cref="MoeException">The device cannot run the forced one.</exception>
    public Mxfp4Plan(CudaArchitecture architecture, int sharedBytes, MoeLayerShape shape, Mxfp4Variant? forced = null)
    {
        ArgumentNullException.ThrowIfNull(shape);
        _architecture = architecture;
        _sharedBytes = sharedBytes;
        _shape = shape;
        _forced = forced;
        if (forced is Mxfp4Variant variant && !Runs(variant))
        {
            throw new MoeException(
                MoeReason.Configuration,
                $"The kernels {variant} were asked for, which cannot run hidden {shape.HiddenSize} and intermediate {shape.IntermediateSize} on {architecture}.");
        }
    }

    /// <summary>The variants that the device can run for this shape.</summary>
    public IEnumerable<Mxfp4Variant> Available => _forced is Mxfp4Variant forced ? [forced] : Mxfp4Variant.All.Where(Runs);

    /// <summary>The variant that runs so many tokens.</summary>
    public Mxfp4Variant Choose(int tokens)
    {
        if (_forced is Mxfp4Variant forced)
        {
            return forced;
        }

        double pairsAnExpert = (double)tokens * _shape.TopK / _shape.ExpertCount;
        Mxfp4Variant choice = pairsAnExpert switch
        {
            _ when tokens <= 8 => new(Mxfp4Kind.Decode, 8),
            <= 2 => new(Mxfp4Kind.Decode, 8),
            <= 8 => new(Mxfp4Kind.Decode, 16),
            <= 40 => new(Mxfp4Kind.Grouped, 64),
            <= 112 => new(Mxfp4Kind.Grouped, 128),
            _ => new(Mxfp4Kind.Grouped, 256),
        };
        return Runs(choice) ? choice : new(Mxfp4Kind.Mma, 64);
    }

    /// <summary>Parts of the second product's inner dimension: one token's groups do not divide evenly among the multiprocessors.</summary>
    public static int Splits(int pairs) => pairs <= 4 ? 2 : 1;

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

    private bool Runs(Mxfp4Variant variant) => variant.Kind switch
    {
        Mxfp4Kind.Decode => _architecture.Major >= 9 && Mxfp4DecodeLayout.For(variant.Tokens, _shape, _sharedBytes) is not null,
        Mxfp4Kind.Grouped => _architecture.Number == Mxfp4GroupedKernels.ArchitectureNumber,
        _ => true,
    };
}
