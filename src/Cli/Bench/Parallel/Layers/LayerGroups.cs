namespace Moe.Plugins.Cli;

/// <summary>The groups that the ways take: all ranks at the model's width, all at the padded width, and each rank alone, for what it adds and norms by itself.</summary>
internal sealed class LayerGroups : IDisposable
{
    private readonly List<IMoeGroup> _alone = [];

    /// <exception cref="MoeException">One cannot be made.</exception>
    public LayerGroups(MoeHost host, string? id, MoeGroupRequest request, int paddedWidth)
    {
        Ranks = host.CreateGroup(request, id);
        try
        {
            Padded = host.CreateGroup(request with { Width = paddedWidth }, id);
            foreach (MoeDevice device in request.Devices)
            {
                _alone.Add(host.CreateGroup(request with { Devices = [device] }, id));
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public IMoeGroup Ranks { get; }

    public IMoeGroup Padded { get; } = null!;

    public bool IsPadded => Padded.Members[0].Request.Width != Ranks.Members[0].Request.Width;

    /// <summary>The ways that differ: where a backend pads nothing, there are two.</summary>
    public LayerWay[] Ways => IsPadded ? Enum.GetValues<LayerWay>() : [LayerWay.Skipping, LayerWay.Fused];

    /// <summary>A rank in a group of its own.</summary>
    public IMoeCommunicator Alone(int rank) => _alone[rank].Members[0];

    public void Dispose()
    {
        _alone.ForEach(group => group.Dispose());
        Padded?.Dispose();
        Ranks.Dispose();
    }
}
