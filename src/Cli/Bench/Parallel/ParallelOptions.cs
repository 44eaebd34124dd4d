using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>The options that only `moe bench parallel` has.</summary>
internal static class ParallelOptions
{
    public static Option<int?> Ranks { get; } = CommandOptions.WholeNumber(
        "--ranks", 2, "Ranks of the group, each on a device of its own from the first on; all on the processor with --device cpu. Default: 2.");

    public static Option<int?> Width { get; } = CommandOptions.WholeNumber("--width", 8, "Columns of what is summed. Default: 2880.");

    public static Option<string?> Group { get; } = CommandOptions.Text(
        "--group", "NAME", "Id of the plugin whose groups are measured. Default: the one that suits the devices best.");

    public static Option<string[]> Plans { get; } = new("--plan")
    {
        Description = "A plan of that plugin's setting Plan, to be compared with the others; may be given several times. Default: its own choice.",
        HelpName = "PLAN",
    };

    public static Option<int[]> Tokens { get; } = BenchOptions.TokensOr("1 to 8192");
}
