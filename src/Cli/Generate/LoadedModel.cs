using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Moe.Plugins.Cuda;
using Moe.Plugins.GptOss;

namespace Moe.Plugins.Cli;

/// <summary>The model that a command line names, on a host of its own.</summary>
internal sealed class LoadedModel : IAsyncDisposable
{
    private const int DefaultContext = 8192;

    private readonly MoeHost _host;

    private LoadedModel(MoeHost host, WayHost? ways, GptOssModel model, MoeElementType cacheType, TimeSpan loadTime)
    {
        LoadTime = loadTime;
        CacheType = cacheType;
        _host = host;
        Ways = ways;
        Model = model;
    }

    public GptOssModel Model { get; }

    /// <summary>What loading took: reading, copying and repacking the weights, and compiling kernels that no run before has.</summary>
    public TimeSpan LoadTime { get; }

    /// <summary>What keys and values are kept in.</summary>
    public MoeElementType CacheType { get; }

    /// <summary>The host that chose the backends.</summary>
    public MoeHost Host => _host;

    /// <summary>What runs the expert layers the ways that are compared; null where none are.</summary>
    public WayHost? Ways { get; }

    private static string SampleFolder => Path.Combine(AppContext.BaseDirectory, "samples", "gpt-oss-sample");

    /// <param name="result">The command line.</param>
    /// <param name="console">Where it is said that the sample is no model to ask.</param>
    /// <param name="progress">Told how far loading is, and cleared.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <param name="hasWays">Whether expert layers run the ways that are compared, of <see cref="Ways"/>.</param>
    /// <exception cref="CommandException">No backend runs a layer, one failed, or the model does not fit into memory.</exception>
    /// <exception cref="MoeException">The model is none.</exception>
    public static LoadedModel Open(
        ParseResult result, CommandConsole console, ProgressLine progress, CancellationToken cancellationToken, bool hasWays = false)
    {
        string folder = result.GetValue(ModelOptions.Model) ?? SampleFolder;
        if (folder == SampleFolder && !console.AsJson)
        {
            console.Error.Say($"[yellow]note:[/] this is the sample model, which babbles. --model FOLDER runs a folder of gpt-oss-20b.");
        }

        int made = GptOssConfig.Read(Path.Combine(folder, "config.json")).MaxPositions;
        GptOssOptions options = Options(result, folder);
        options.MaxContext = result.GetValue(ModelOptions.Context) ?? Math.Min(DefaultContext, made);
        MoeHost host = HostFactory.Create(result, console, hostOptions => TellRanks(result, options, hostOptions));
        WayHost? ways = hasWays ? new WayHost(host) : null;
        try
        {
            progress.Begin("loading");
            long start = Stopwatch.GetTimestamp();
            var model = GptOssModel.Load((IMoeHost?)ways ?? host, options, progress, cancellationToken);
            progress.Clear();
            LayerPatternCheck.Warn(console, folder, [.. host.Selections.Select(selection => selection.Request.Name)]);
            return new LoadedModel(host, ways, model, options.CacheType, Stopwatch.GetElapsedTime(start));
        }
        catch (Exception exception)
        {
            ways?.Dispose();
            host.Dispose();
            throw exception switch
            {
                MoeSelectionException selection => HostFactory.Refused(selection.Report),
                MoeException { Reason: MoeReason.NoDevice or MoeReason.DeviceUnsupported } => new CommandException(ExitCode.NoBackend, exception.Message, exception),

                // What the command line asks for is more than there is: nothing has run yet that could have failed.
                MoeException { Reason: MoeReason.OutOfMemory } and not MoePluginException => new CommandException(
                    ExitCode.BadInput,
                    $"{exception.Message} {ModelOptions.Context.Name} sets the context, {CommandOptions.Backend.Name} and {CommandOptions.Device.Name} where layers run.",
                    exception),
                _ => exception,
            };
        }
    }

    /// <summary>GPUs that are named have the whole model; only what is said of layers apart places them elsewhere.</summary>
    /// <exception cref="CommandException">There is not a device for each rank, or they are of two kinds.</exception>
    private static GptOssOptions Options(ParseResult result, string folder)
    {
        MoeDevice? first = result.GetValue(CommandOptions.Device);
        MoeDevice[] devices = result.GetValue(CommandOptions.Devices) is { Length: > 0 } named ? named : first is null ? [] : [first.Value];
        int ranks = result.GetValue(CommandOptions.TensorParallel) ?? devices.Length;
        if (devices.Length > 1 && devices.Length != ranks)
        {
            throw new CommandException(ExitCode.BadInput, $"--devices has {devices.Length}; one for each of the {ranks} ranks is expected.");
        }

        if (devices.DistinctBy(device => device.Kind).Count() > 1)
        {
            throw new CommandException(ExitCode.BadInput, $"--devices is {string.Join(',', devices)}; only GPUs or only processors are expected.");
        }

        var options = new GptOssOptions
        {
            Model = folder,
            Threads = result.GetValue(ModelOptions.Threads) ?? 0,
            Backend = result.GetValue(CommandOptions.Backend),
            TensorParallel = Math.Max(1, ranks),
        };
        if (devices is [{ Kind: MoeDeviceKind.Cuda }, ..])
        {
            options.UseCuda(devices, new KernelCompilerOptions { PrebuiltFolder = HostFactory.Options().KernelCache });
        }
        else if (devices.Length > 0)
        {
            options.Device = devices[0];
        }

        options.ActivationType = ModelOptions.TypeOf(result.GetValue(ModelOptions.Activations)) ?? options.ActivationType;
        options.CacheType = ModelOptions.TypeOf(result.GetValue(ModelOptions.Cache)) ?? options.CacheType;
        return options;
    }

    // What the command line says of ranks, that there is one too, counts before the environment.
    private static void TellRanks(ParseResult result, GptOssOptions options, MoeOptions hostOptions)
    {
        bool isSaid = result.GetValue(CommandOptions.TensorParallel) is not null || result.GetValue(CommandOptions.Devices) is { Length: > 0 };
        if (isSaid && hostOptions.Parallel.Launcher == MoeLauncher.None)
        {
            hostOptions.Parallel.Tensor = options.TensorParallel;
            hostOptions.Parallel.Expert = 1;
            hostOptions.Parallel.Devices = [];
        }
    }

    /// <summary>The tokens that a command line gives.</summary>
    /// <exception cref="CommandException">They are none.</exception>
    public static int[] ParseIds(string text) =>
    [
        .. text.Split([',', ' '], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(
            part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int id)
                ? id
                : throw new CommandException(ExitCode.BadInput, $"--prompt-ids has '{PlainText.Of(part)}'; token ids with commas between them are expected.")),
    ];

    public async ValueTask DisposeAsync()
    {
        Model.Dispose();
        Ways?.Dispose();
        await _host.DisposeAsync();
    }
}
