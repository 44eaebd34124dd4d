using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>What a layer's router needs on the device, made once for a config's most tokens.</summary>
internal sealed class RouterBuffers : DeviceArena
{
    public RouterBuffers(CudaContext context, MoeLayerConfig config)
        : base(context)
    {
        MoeLayerShape shape = config.Shape;
        long pairs = (long)config.MaxTokens * shape.TopK;
        long partialRows = RouterKernels.MaxPartialRows(config.MaxTokens, shape.ExpertCount, context.Device.MultiprocessorCount);
        PartialLogits = Allocate(((partialRows * shape.ExpertCount) + RoutingBuffers.MaxExperts) * sizeof(float));
        Ids = Allocate(pairs * sizeof(int));
        Weights = Allocate(pairs * sizeof(float));
        Rows = Allocate((long)config.MaxTokens * shape.HiddenSize * sizeof(ushort));

        // Launches find zeros here and leave zeros behind.
        long ticketBytes = (config.MaxTokens + 1L) * sizeof(int);
        Tickets = Allocate(ticketBytes);
        long fewBytes = ((RouterKernels.MaxFewRows * shape.ExpertCount) + RoutingBuffers.MaxExperts) * sizeof(float);
        FewLogits = Allocate(fewBytes);
        using CudaContextScope scope = context.MakeCurrent();
        CudaMemory.Fill(Tickets, 0, ticketBytes, 0);
        CudaMemory.Fill(FewLogits, 0xFF, fewBytes, 0);
        context.UseStream(0).Synchronize();
    }

    /// <summary>[tokens, top-k] int32.</summary>
    public nint Ids { get; }

    /// <summary>[tokens, top-k] float32.</summary>
    public nint Weights { get; }

    /// <summary>[tokens, hidden] BF16: the caller's rows, where the kernels cannot read those in place.</summary>
    public nint Rows { get; }

    /// <summary>
    /// [parts, tokens, experts] float32, and room for <see cref="RoutingBuffers.MaxExperts"/> behind them, which is read and not used.
    /// </summary>
    public nint PartialLogits { get; }

    public nint Tickets { get; }

    /// <summary>The same as <see cref="PartialLogits"/> for few tokens; launches find every bit 1 here and leave that behind.</summary>
    public nint FewLogits { get; }
}
