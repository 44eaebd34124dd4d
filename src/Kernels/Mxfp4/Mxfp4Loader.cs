using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Copies a checkpoint's MXFP4 experts to the device and repacks them there.</summary>
public sealed class Mxfp4Loader : IDisposable
{
    private const int Threads = 256;
    private const int WarpsPerBlock = Threads / 32;
    private const int BlockSize = 32;

    private readonly CudaContext _context;
    private readonly CudaFunction _factors;
    private readonly CudaFunction _repack;
    private readonly DeviceArray _staging;
    private readonly DeviceArray _any;

    /// <summary>Makes a loader with room for a layer's largest expert.</summary>
    /// <param name="library">The backend's kernels; its context must be current.</param>
    /// <param name="shape">The layer's shape.</param>
    public Mxfp4Loader(KernelLibrary library, MoeLayerShape shape)
    {
        ArgumentNullException.ThrowIfNull(library);
        ArgumentNullException.ThrowIfNull(shape);
        _context = library.Context;
        _factors = library.Get(Unit, "moe_mxfp4_factors");
        _repack = library.Get(Unit, "moe_mxfp4_repack");
        long largest = 2L * shape.IntermediateSize * shape.HiddenSize;
        _staging = new DeviceArray(library.Context, (largest / 2) + (largest / BlockSize));
        _any = new DeviceArray(library.Context, sizeof(int));
    }

    /// <summary>The source of its kernels.</summary>
    public static KernelUnit Unit { get; } = new("mxfp4_load.cu");

    /// <summary>Loads all experts of a matrix.</summary>
    /// <param name="target">Where to.</param>
    /// <param name="source">The checkpoint's tensors.</param>
    /// <param name="experts">Number of experts.</param>
    /// <param name="progress">Told the number of experts that are loaded; may be null.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    public void Load(Mxfp4Matrix target, MoeExpertMatrix source, int experts, Action<int>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(source);
        target.LoadBias(_context, source.Bias);
        CudaMemory.Fill(_any.Address, 0, sizeof(int), 0);
        for (int expert = 0; expert < experts; expert++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Load(target, source, expert);
            progress?.Invoke(expert + 1);
        }

        // The source's memory is the caller's again once this returns, and other streams read the weights.
        _context.UseStream(0).Synchronize();
        target.HasFactors = ReadAny() != 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _staging.Dispose();
        _any.Dispose();
    }


    private static int Ceiling(int count, int size) => (count + size - 1) / size;

    private void Load(Mxfp4Matrix target, MoeExpertMatrix source, int expert)
    {
        nint scales = checked((nint)(_staging.Address + ((long)target.Rows * target.Depth / 2)));
        HostTensors.Upload(_staging.Address, source.Values, expert);
        HostTensors.Upload(scales, source.Scales, expert);
        var factors = new Mxfp4FactorParameters
        {
            Scales = scales,
            Factor = target.ExpertFactors(expert),
            Any = _any.Address,
            Rows = target.Rows,
            Depth = target.Depth,
        };
        _factors.Launch(new CudaLaunchConfig(Ceiling(target.Rows, WarpsPerBlock), Threads), 0, in factors);
        var repack = new Mxfp4RepackParameters
        {
            Codes = _staging.Address,
            Scales = scales,
            Factor = target.ExpertFactors(expert),
            Out = target.Expert(expert),
            Rows = target.Rows,
            Depth = target.Depth,
            GateUp = target.IsGateUp ? 1 : 0,
        };
        var grid = new CudaDim3(Ceiling(Mxfp4Layout.Steps(target.Depth), WarpsPerBlock), target.Rows / Mxfp4Layout.GroupRows);
        _repack.Launch(new CudaLaunchConfig(grid, Threads), 0, in repack);
    }

    private int ReadAny()
    {
        int[] any = new int[1];
        CudaMemory.Download<int>(any, _any.Address);
        return any[0];
    }
}
