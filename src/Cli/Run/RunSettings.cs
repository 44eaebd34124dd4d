using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>What `moe run` was asked for.</summary>
internal sealed record RunSettings
{
    private const int MostRanks = 64;

    public required string? Model { get; init; }

    public required MoeLayerShape? Shape { get; init; }

    public required int? Layer { get; init; }

    public required string? Input { get; init; }

    public required int? Tokens { get; init; }

    public required int Seed { get; init; }

    public required MoeElementType OutputType { get; init; }

    /// <summary>Ranks that share each expert.</summary>
    public required int TensorParallel { get; init; }

    /// <summary>Ranks that share the experts.</summary>
    public required int ExpertParallel { get; init; }

    /// <summary>All ranks.</summary>
    public int RankCount => TensorParallel * ExpertParallel;

    /// <summary>Whether the ranks are those of the host's configuration, Moe:Parallel: nothing was said of them here.</summary>
    public bool IsConfigured { get; init; }

    /// <summary>Whether each rank is a process, of which this is one.</summary>
    public bool AreProcesses { get; init; }

    /// <summary>A device for each rank; none for those that come from the backend's own on.</summary>
    public required IReadOnlyList<MoeDevice> Devices { get; init; }

    public required bool Verify { get; init; }

    public required string? Output { get; init; }

    /// <summary>Whether the command line says how many ranks there are, one too, or where they are.</summary>
    public required bool SaysRanks { get; init; }

    /// <summary>The checkpoint that the program ships, run where nothing else is named.</summary>
    private static string SamplePath => Path.Combine(AppContext.BaseDirectory, "samples", "checkpoints", "pad-hidden.safetensors");

    /// <exception cref="CommandException">Two options contradict each other.</exception>
    public static RunSettings Read(ParseResult result)
    {
        string? model = result.GetValue(CommandOptions.Model);
        MoeLayerShape? shape = result.GetValue(CommandOptions.Shape);
        int? layer = result.GetValue(CommandOptions.Layer);
        if (model is not null && shape is not null)
        {
            throw new CommandException(ExitCode.BadInput, "--model and --shape are both given; only one of them is expected.");
        }

        if (layer is not null && shape is not null)
        {
            throw new CommandException(ExitCode.BadInput, "--layer picks a layer of a checkpoint, so it cannot be given with --shape.");
        }

        string? input = result.GetValue(CommandOptions.Input);
        if (input is not null && shape is not null)
        {
            throw new CommandException(ExitCode.BadInput, "--input goes with a checkpoint; it does not go with --shape.");
        }

        string? output = result.GetValue(CommandOptions.Output);
        if (output is not null)
        {
            WholeFile.Check(output);
        }

        int? saidTensor = result.GetValue(CommandOptions.TensorParallel);
        int? saidExpert = result.GetValue(CommandOptions.ExpertParallel);
        int tensorParallel = saidTensor ?? 1;
        int expertParallel = saidExpert ?? 1;
        if ((long)tensorParallel * expertParallel is long ranks && ranks > MostRanks)
        {
            throw new CommandException(
                ExitCode.BadInput, $"--tensor-parallel and --expert-parallel make {ranks} ranks; at most {MostRanks}, each a thread, are expected.");
        }

        MoeDevice[] devices = result.GetValue(CommandOptions.Devices) ?? [];
        if (devices.Length > 0 && devices.Length != tensorParallel * expertParallel)
        {
            throw new CommandException(
                ExitCode.BadInput, $"--devices has {devices.Length}; one for each of the {tensorParallel * expertParallel} ranks is expected.");
        }

        bool isSample = model is null && shape is null;
        return new RunSettings
        {
            Model = isSample ? SamplePath : model,
            Shape = shape,
            Layer = layer,
            Input = input,
            Tokens = result.GetValue(CommandOptions.Tokens),
            Seed = result.GetValue(CommandOptions.Seed) ?? 1,
            OutputType = result.GetValue(CommandOptions.OutputType) ?? MoeElementType.BFloat16,
            TensorParallel = tensorParallel,
            ExpertParallel = expertParallel,
            Devices = devices,
            SaysRanks = saidTensor is not null || saidExpert is not null || devices.Length > 0,
            Verify = isSample || result.GetValue(CommandOptions.Verify),
            Output = output,
        };
    }

    /// <summary>
    /// Has the command line's ranks count before the environment's, whose devices are those of other ranks. Where a launcher started a process for each
    /// rank, they are those processes.
    /// </summary>
    public void TellRanks(MoeOptions options)
    {
        if (!SaysRanks)
        {
            return;
        }

        options.Parallel.Tensor = TensorParallel;
        options.Parallel.Expert = ExpertParallel;
        if (Devices.Count > 0 || options.Parallel.Launcher == MoeLauncher.None)
        {
            options.Parallel.Devices = [.. Devices.Select(device => device.ToString())];
        }
    }

    /// <summary>The same with the ranks of the host's configuration, where the command line says nothing of ranks or each is a process.</summary>
    public RunSettings WithRanksOf(MoeHost host) => host.Ranks.Count == 1 || (SaysRanks && !host.Ranks.AreProcesses)
        ? this
        : this with
        {
            TensorParallel = host.Ranks.Tensor,
            ExpertParallel = host.Ranks.Expert,
            Devices = host.Ranks.Devices,
            IsConfigured = true,
            AreProcesses = host.Ranks.AreProcesses,
        };

    /// <summary>A device for each rank: those that were named, or GPUs from one on. Ranks on a processor share it.</summary>
    public IReadOnlyList<MoeDevice> DevicesFrom(MoeDevice first) => Devices.Count > 0 ? Devices : RankDevices.From(first, RankCount);

    /// <summary>Opens the checkpoint, or makes the random layer.</summary>
    /// <exception cref="MoeException">The checkpoint is malformed or has not what was asked for.</exception>
    public RunInput OpenInput() =>
        Shape is null ? RunInput.FromCheckpoint(Model!, Layer, Input, Tokens, Seed) : RunInput.Random(Shape, Tokens, Seed);
}
