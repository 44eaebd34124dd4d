namespace Moe.Plugins.Kernels;

/// <summary>What is a backend's own of a layer on a device: the weights' layout, and both products of all experts.</summary>
/// <remarks>The device's context is current in every call. Nothing but loading and making a workspace may allocate.</remarks>
public abstract class CudaExperts
{
    /// <summary>Whether another network, the shared experts or the routed ones, takes part of each multiprocessor while the products run: kernels that need all of one would wait for their end.</summary>
    public virtual bool HasCompany { get; set; }

    /// <summary>Makes ready to take shared experts of a shape, with BF16 weights, into a launch of its own, where it can.</summary>
    internal virtual void MakeRoomFor(MoeLayerShape shared)
    {
    }

    /// <summary>Whether the launch of so many tokens takes the shared experts in: <see cref="RunWithShared"/>.</summary>
    internal virtual bool TakesShared(int tokens) => false;

    /// <summary>Loads a layer's weights. The source's memory is the caller's again once this returns.</summary>
    /// <param name="config">The layer.</param>
    /// <param name="source">The checkpoint's tensors.</param>
    /// <param name="progress">Told the share that is loaded; may be null.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    /// <exception cref="MoeException">The device is out of memory or failed.</exception>
    public abstract CudaWeights LoadWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken);

    /// <summary>Allocates what the forwards of one stream need.</summary>
    /// <exception cref="MoeException">The device is out of memory.</exception>
    public abstract CudaWorkspace CreateWorkspace(MoeLayerConfig config);

    /// <summary>Rows of a row block that the sort is to make for so many tokens; 0 where the products need none.</summary>
    public abstract int BlockRows(int tokens);

    /// <summary>Whether the products multiply FP8 numbers for so many tokens; else BF16.</summary>
    public virtual bool MultipliesFp8(int tokens) => false;

    /// <summary>Enqueues both products of a batch whose pairs are sorted by expert.</summary>
    /// <param name="rows">The activations.</param>
    /// <param name="weights">What <see cref="LoadWeights"/> returned.</param>
    /// <param name="workspace">What <see cref="CreateWorkspace"/> returned.</param>
    /// <param name="stream">The stream.</param>
    /// <returns>How the partial results lie in <see cref="CudaWorkspace.PartialResults"/>, which are summed next.</returns>
    public abstract PartialLayout Run(in ExpertRows rows, CudaWeights weights, CudaWorkspace workspace, nint stream);

    /// <summary>The same and both products of the shared experts, whose results are one part of float32.</summary>
    internal virtual PartialLayout RunWithShared(
        in ExpertRows rows, CudaWeights weights, CudaWorkspace workspace, in SharedOfStream shared, nint stream) => throw new NotSupportedException();
}

/// <summary>The activations that the experts read: BF16 rows, 16-byte aligned, or rows of MXFP8 where there are scales.</summary>
/// <param name="Address">The first row.</param>
/// <param name="Stride">Elements from one row to the next.</param>
/// <param name="Tokens">Rows.</param>
/// <param name="Scales">0, or [tokens, stride / 32] E8M0: the elements are E4M3 codes then.</param>
public readonly record struct ExpertRows(nint Address, long Stride, int Tokens, nint Scales = 0);

/// <summary>How the partial results of the second product lie: [splits, pairs, hidden].</summary>
/// <param name="Splits">Parts of the inner dimension.</param>
/// <param name="IsBf16">Whether they are BF16, else float32.</param>
/// <param name="HasBias">Whether the product's bias is in them; else the combine adds it.</param>
public readonly record struct PartialLayout(int Splits, bool IsBf16, bool HasBias = false);
