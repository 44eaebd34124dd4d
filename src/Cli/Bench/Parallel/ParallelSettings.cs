using System.CommandLine;
using System.Globalization;

namespace Moe.Plugins.Cli;

/// <summary>What `moe bench parallel` was asked for.</summary>
internal sealed record ParallelSettings
{
    private const int DefaultRanks = 2;
    private const int MostRanks = 64;
    private const int MostLayerTokens = 1024;

    /// <summary>A device for each rank.</summary>
    public required IReadOnlyList<MoeDevice> Devices { get; init; }

    public required IReadOnlyList<int> Tokens { get; init; }

    /// <summary>Tokens of the layers.</summary>
    public required IReadOnlyList<int> LayerTokens { get; init; }

    /// <summary>The one thing to measure, by its name in <see cref="ParallelOptions"/>; null for reductions and layers, or what a table needs.</summary>
    public required string? Only { get; init; }

    /// <summary>Columns of what is summed.</summary>
    public required int Width { get; init; }

    /// <summary>The plugin of the groups; null for the best.</summary>
    public required string? Group { get; init; }

    /// <summary>Its plans to compare; null for its own choice.</summary>
    public required IReadOnlyList<string?> Plans { get; init; }

    /// <summary>As <see cref="Plans"/>, of exchanges.</summary>
    public required IReadOnlyList<string?> ExchangePlans { get; init; }

    /// <summary>Where the table of the fastest plans goes; null for nowhere.</summary>
    public required string? TunePath { get; init; }

    /// <summary>Whether NCCL is measured too.</summary>
    public required bool ComparesNccl { get; init; }

    /// <summary>Where this process is one rank of several: which, and the path where they meet.</summary>
    public required (int Rank, string Path)? Process { get; init; }

    /// <summary>Plugin folders that were named.</summary>
    public required IReadOnlyList<string> PluginFolders { get; init; }

    /// <summary>Seconds, replays and outputs.</summary>
    public required BenchSettings Bench { get; init; }

    /// <exception cref="CommandException">There are too many ranks, or not a device for each.</exception>
    /// <exception cref="MoeException">An output cannot be written.</exception>
    public static ParallelSettings Read(ParseResult result)
    {
        IReadOnlyList<MoeDevice> devices = result.GetValue(CommandOptions.Devices) ?? [];
        int? ranks = result.GetValue(ParallelOptions.Ranks);
        if (devices.Count == 0)
        {
            devices = RankDevices.From(result.GetValue(CommandOptions.Device) ?? MoeDevice.Cuda(0), ranks ?? DefaultRanks);
        }

        if (ranks is { } count && devices.Count != count)
        {
            throw new CommandException(ExitCode.BadInput, $"--devices has {devices.Count}; one for each of the {count} ranks is expected.");
        }

        if (devices.Count > MostRanks)
        {
            throw new CommandException(ExitCode.BadInput, $"{devices.Count} ranks were asked for; at most {MostRanks} are expected.");
        }

        IReadOnlyList<string> plans = result.GetValue(ParallelOptions.Plans) ?? [];
        IReadOnlyList<string> exchangePlans = plans;
        string? tunePath = BenchSettings.Writable(result, ParallelOptions.Tune);
        string? only = result.GetValue(ParallelOptions.Only);
        if (tunePath is not null)
        {
            exchangePlans = plans.Count > 0 ? plans : PlanTable.ExchangeCandidates;
            plans = plans.Count > 0 ? plans : PlanTable.Candidates;
            if (only is not null and not ParallelOptions.Reductions)
            {
                throw new CommandException(ExitCode.BadInput, $"--tune compares reductions, so it cannot be given with --only {only}.");
            }
        }

        var defaults = new BenchSettings();
        (string[] backends, string namedBy) = BenchOptions.BackendsOf(result, ParallelOptions.Backends, ParallelOptions.BackendOn(devices[0]));
        return new ParallelSettings
        {
            Devices = devices,
            Tokens = result.GetValue(ParallelOptions.Tokens) is { Length: > 0 } tokens
                ? [.. tokens.Distinct().Order()]
                : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192],
            LayerTokens = result.GetValue(ParallelOptions.Tokens) is { Length: > 0 } layerTokens
                ? [.. layerTokens.Distinct().Where(tokens => tokens <= MostLayerTokens).Order()]
                : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
            Only = only,
            Width = result.GetValue(ParallelOptions.Width) ?? MoeLayerShape.GptOss20B.HiddenSize,
            Group = result.GetValue(ParallelOptions.Group),
            Plans = plans.Count > 0 ? [.. plans] : new string?[] { null },
            ExchangePlans = exchangePlans.Count > 0 ? [.. exchangePlans] : new string?[] { null },
            TunePath = tunePath,
            ComparesNccl = result.GetValue(ParallelOptions.Nccl),
            Process = ReadProcess(result.GetValue(ParallelOptions.AsRank), devices.Count),
            PluginFolders = result.GetValue(CommandOptions.Plugins) ?? [],
            Bench = new BenchSettings
            {
                Backends = backends,
                NamedBy = namedBy,
                Shapes = result.GetValue(ParallelOptions.Shapes) is { Length: > 0 } shapes ? shapes : [MoeLayerShape.GptOss20B, MoeLayerShape.GptOss120B],
                Seed = result.GetValue(CommandOptions.Seed) ?? defaults.Seed,
                Seconds = result.GetValue(BenchOptions.Seconds) ?? defaults.Seconds,
                Replays = result.GetValue(BenchOptions.Replays) ?? defaults.Replays,
                OutputPath = BenchSettings.Writable(result, BenchOptions.Output),
                PlotPath = BenchSettings.Writable(result, ParallelOptions.Plot),
            },
        };
    }

    private static (int Rank, string Path)? ReadProcess(string? text, int count)
    {
        if (text is null)
        {
            return null;
        }

        string[] parts = text.Split(':', 2);
        return parts.Length == 2 && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int rank) && rank < count
            ? (rank, parts[1])
            : throw new CommandException(ExitCode.BadInput, $"{ParallelOptions.RankName} is '{PlainText.Of(text)}'; a rank and a path are expected, as in 0:/tmp/meet.");
    }
}
