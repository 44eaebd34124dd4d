namespace Moe.Plugins.Cli;

/// <summary>Runs a rank's part of a layer up to the norm behind it, in any of the ways.</summary>
internal sealed class LayerWays : IDisposable
{
    private readonly LayerGroups _groups;
    private readonly int _rank;
    private readonly DeviceBuffer _wide;

    /// <exception cref="MoeException">The device is out of memory or failed.</exception>
    public LayerWays(LayerGroups groups, int rank)
    {
        _groups = groups;
        _rank = rank;
        IMoeCommunicator padded = groups.Padded.Members[rank];
        _wide = new DeviceBuffer(padded.Memory, padded.Request.ElementType, padded.Request.MaxTokens, padded.Request.Width);
    }

    /// <summary>Enqueues a forward.</summary>
    /// <param name="way">The way.</param>
    /// <param name="layer">The part.</param>
    /// <param name="state">Made for the rank's member of the ranks' group.</param>
    /// <param name="padded">The part with padding around it, only for the padded way; else null.</param>
    /// <param name="call">The call of the fused way, from which those of the others follow.</param>
    public void Enqueue(LayerWay way, IMoeLayer layer, IMoeForwardState state, PaddedPart? padded, in MoeLayerCall call)
    {
        if (way == LayerWay.Fused)
        {
            layer.Forward(state, call);
            return;
        }

        // A group of one adds and norms what lies in its memory.
        IMoeCommunicator alone = _groups.Alone(_rank);
        int tokens = call.Input.Rows;
        MoePartial sum = alone.LendPartial(tokens);
        if (way == LayerWay.Skipping)
        {
            layer.Forward(state, call with { Output = sum.View, AddNorm = null });
        }
        else
        {
            IMoeCommunicator member = _groups.Padded.Members[_rank];
            MoePartial part = member.LendPartial(tokens);
            padded!.Enqueue(call.Input, part.View, call.TopKIds, call.TopKWeights, call.Stream);
            MoeTensorView wide = _wide.View.FirstRows(tokens);
            member.AllReduce(new MoeReduceArguments { Partial = part, Output = wide, Stream = call.Stream });
            layer.Memory.Copy2D(sum.View.Address, sum.View.RowStride, wide.Address, wide.RowStride, sum.View.RowBytes, tokens, call.Stream);
        }

        alone.ReduceAddNorm(new MoeReduceAddNormArguments { Partial = sum, AddNorm = call.AddNorm!.Value, Output = call.Output, Stream = call.Stream });
    }

    public void Dispose() => _wide.Dispose();
}
