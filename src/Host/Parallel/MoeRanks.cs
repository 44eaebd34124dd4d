namespace Moe.Plugins;

/// <summary>The ranks that <see cref="MoeOptions.Parallel"/> asks for, as this process has them: one, and the layer whole, where it asks for none.</summary>
public sealed class MoeRanks
{
    private readonly MoeOptions _options;

    internal MoeRanks(MoeOptions options, LaunchedRank? launched, IReadOnlyList<MoeDevice> devices)
    {
        _options = options;
        Tensor = options.Parallel.Tensor;
        Expert = options.Parallel.Expert;
        Launched = launched;
        Devices = devices;
        Timeout = options.Parallel.Timeout;
        Local = launched is null ? [.. Enumerable.Range(0, Count)] : [launched.Rank];
    }

    /// <summary>Ranks that share each expert.</summary>
    public int Tensor { get; }

    /// <summary>Ranks that share the experts.</summary>
    public int Expert { get; }

    /// <summary>All ranks.</summary>
    public int Count => Tensor * Expert;

    /// <summary>Whether each rank is a process that a launcher started; else they are threads of this one.</summary>
    public bool AreProcesses => Launched is not null;

    /// <summary>The ranks of this process: all where they are threads, one where each is a process.</summary>
    public IReadOnlyList<int> Local { get; }

    /// <summary>Each rank's device, by rank. Those of other processes are theirs to name; in their places stands this one's.</summary>
    public IReadOnlyList<MoeDevice> Devices { get; }

    /// <summary>How long ranks wait for each other.</summary>
    public TimeSpan Timeout { get; }

    internal LaunchedRank? Launched { get; }

    /// <summary>The share of a layer that a rank has.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such rank.</exception>
    public MoePart PartOf(int rank)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rank);
        return MoePart.OfRank(rank, Tensor, Expert);
    }

    /// <summary>An option of <see cref="MoeParallelOptions"/> as messages name it: <c>Moe:Parallel:Launcher</c> where it was read from configuration.</summary>
    /// <param name="option">The option's name.</param>
    public string SettingPath(string option)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(option);
        return _options.PathOf(nameof(MoeOptions.Parallel), option);
    }

    /// <summary>Makes a layer's request one for a rank's part. A request that names a part itself stays as it is.</summary>
    /// <exception cref="MoeException">The rank is not one of this process, or is not said.</exception>
    internal MoeLayerRequest Place(MoeLayerRequest request)
    {
        if (!request.Options.Part.IsWhole)
        {
            return request.Rank is null
                ? request
                : throw new MoeException(
                    MoeReason.Configuration, $"{nameof(MoeLayerRequest)} has a {nameof(MoeLayerRequest.Rank)} and a {nameof(MoeLayerOptions.Part)}; one of them is expected.");
        }

        if (Count == 1 && request.Rank is null or 0)
        {
            // Where its device was not named, it is wherever a backend is.
            return request.Device is null && _options.Parallel.Devices.Count > 0 ? request with { Device = Devices[0] } : request;
        }

        if ((request.Rank ?? (Local.Count == 1 ? Local[0] : -1)) is int rank && !Local.Contains(rank))
        {
            string local = Local.Count == 1 ? $"{Local[0]}" : $"one of 0 to {Count - 1}";
            throw new MoeException(
                MoeReason.Configuration,
                $"{nameof(MoeLayerRequest)}.{nameof(MoeLayerRequest.Rank)} is {request.Rank?.ToString() ?? "null"}; {local}, the ranks of this process, is expected.");
        }

        return request with
        {
            Rank = null,
            Device = request.Device ?? Devices[rank],
            Options = request.Options with { Part = PartOf(rank) },
        };
    }
}
