namespace Moe.Plugins.Cli;

/// <summary>One rank's buffers in its backend's memory, and its forwards. A layer that is whole is the only rank.</summary>
internal sealed class RankRun : IDisposable
{
    private readonly MoeLayer _layer;
    private readonly IMoeMemory _memory;
    private readonly List<IDisposable> _owned = [];
    private readonly nint _stream;
    private readonly MoeForwardState _state;
    private readonly MoeLayerCall _call;
    private readonly (DeviceBuffer Device, MoeBuffer Host)[] _results;

    /// <param name="layer">The layer, or a part of one.</param>
    /// <param name="member">The rank's member of the group; null where there is one rank.</param>
    /// <param name="tokens">[tokens, hidden size] in host memory.</param>
    /// <param name="tokenIds">[tokens, 1] int32 in host memory; empty where the layer does not look experts up by token.</param>
    /// <param name="output">Where the result goes, in host memory.</param>
    /// <param name="ids">Where the experts' ids go, in host memory.</param>
    /// <param name="weights">Where the experts' weights go, in host memory.</param>
    /// <exception cref="MoeException">The device is out of memory or failed.</exception>
    public RankRun(
        MoeLayer layer, IMoeCommunicator? member, MoeTensorView tokens, MoeTensorView tokenIds, MoeBuffer output, MoeBuffer ids, MoeBuffer weights)
    {
        _layer = layer;
        _memory = layer.Memory;
        _stream = _memory.CreateStream();
        try
        {
            DeviceBuffer input = Own(new DeviceBuffer(_memory, tokens.ElementType, tokens.Rows, tokens.Columns));
            _results = [.. new[] { output, ids, weights }.Select(host => (Own(new DeviceBuffer(_memory, host.View.ElementType, tokens.Rows, host.View.Columns)), host))];
            _state = Own(member is null ? layer.CreateState() : layer.CreateState(member));
            input.CopyIn(tokens, _stream);
            DeviceBuffer? vocabularyIds = tokenIds.IsEmpty ? null : Own(new DeviceBuffer(_memory, MoeElementType.Int32, tokens.Rows, 1));
            vocabularyIds?.CopyIn(tokenIds, _stream);
            foreach (var (device, host) in _results)
            {
                Poison.Fill(host);
                device.CopyIn(host.View, _stream);
            }

            _call = new MoeLayerCall
            {
                Input = input.View,
                Output = _results[0].Device.View,
                TopKIds = _results[1].Device.View,
                TopKWeights = _results[2].Device.View,
                TokenIds = vocabularyIds?.View ?? default,
                Stream = _stream,
            };
            layer.Synchronize(_stream);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Runs a forward, and waits for it.</summary>
    public void Forward()
    {
        _layer.Forward(_state, _call);
        _layer.Synchronize(_stream);
    }

    /// <summary>Copies the results to the host.</summary>
    public void CopyOut()
    {
        foreach (var (device, host) in _results)
        {
            device.CopyOut(host.View, _stream);
        }

        _layer.Synchronize(_stream);
    }

    public void Dispose()
    {
        _owned.AsEnumerable().Reverse().ToList().ForEach(item => item.Dispose());
        _memory.DestroyStream(_stream);
    }

    private T Own<T>(T item)
        where T : IDisposable
    {
        _owned.Add(item);
        return item;
    }
}
