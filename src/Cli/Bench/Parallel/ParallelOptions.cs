using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>The options that only `moe bench parallel` has.</summary>
internal static class ParallelOptions
{
    private const string OnGpus = "Mxfp4.Marlin";
    private const string OnProcessors = "Cpu";

    public const string Reductions = "reductions";
    public const string Layers = "layers";
    public const string Exchanges = "exchanges";

    /// <summary>The plan that <see cref="Nccl"/> compares with.</summary>
    public const string NcclPlan = "nccl";

    public static Option<int?> Ranks { get; } = CommandOptions.WholeNumber(
        "--ranks", 2, "Ranks of the group. Default: 2, or one for each of --devices.");

    public static Option<int?> Width { get; } = CommandOptions.WholeNumber("--width", 8, "Columns of what is summed. Default: 2880.");

    public static Option<string?> Group { get; } = CommandOptions.Text(
        "--group", "NAME", "Id of the plugin whose groups are measured. Default: the one that suits the devices best.");

    public static Option<string[]> Plans { get; } = new("--plan")
    {
        Description = "A plan of that plugin's setting Plan, to be compared with the others; may be given several times. Default: its own choice.",
        HelpName = "PLAN",
    };

    public static Option<string?> Tune { get; } = CommandOptions.Text(
        "--tune", "FILE.json", "Compare plans and write the fastest for each number of ranks and bytes to a table, for the plugin's setting Table. Measures reductions and exchanges, or with --only reductions these alone.");

    public static Option<int[]> Tokens { get; } = BenchOptions.TokensOr("1 to 8192, for layers to 1024");

    public static Option<string[]> Backends { get; } = BenchOptions.BackendsOr($"{OnGpus}, on processors {OnProcessors}");

    /// <summary>The backend whose layers are measured where none is named.</summary>
    public static string BackendOn(MoeDevice device) => device.Kind == MoeDeviceKind.Cpu ? OnProcessors : OnGpus;

    public static Option<MoeLayerShape[]> Shapes { get; } = BenchOptions.ShapesOr("gpt-oss-20b and gpt-oss-120b");

    public static Option<string?> Plot { get; } = CommandOptions.Text(
        "--plot", "FILE.png", "Draw the layers: the share of a layer's time that is saved, over tokens.");

    /// <summary>Of a process that is a rank: its number, and where the ranks meet. What this program tells those that it starts.</summary>
    public static Option<string?> AsRank { get; } = new(RankName) { Hidden = true };

    public const string RankName = "--as-rank";

    public static Option<bool> Nccl { get; } = new("--nccl")
    {
        Description = "Measure what the reduction replaces too, and say the ratio: an all-reduce of NCCL's of BF16 rows, and a kernel that adds the residual and norms, "
            + "with a process for each rank, which this program starts. NCCL is where the group's plugin finds it.",
    };

    /// <summary>The one thing to measure; null for reductions and layers.</summary>
    public static Option<string?> Only { get; } = new("--only")
    {
        Description = $"{Reductions}, {Layers} or {Exchanges}: measures only these. Default: reductions and layers.",
        HelpName = "WHAT",
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (text is Reductions or Layers or Exchanges)
            {
                return text;
            }

            result.AddError(CommandOptions.NoneOf("--only", text, Reductions, Layers, Exchanges));
            return null;
        },
    };
}
