using Moe.Plugins.GptOss;
using static System.FormattableString;

namespace Moe.Plugins.Cli;

/// <summary>Numbers as a person reads them.</summary>
internal static class HumanText
{
    public static string Bytes(long count) => count switch
    {
        < 10_000 => Invariant($"{count} B"),
        < 10_000_000 => Invariant($"{count / 1e3:0} kB"),
        < 10_000_000_000 => Invariant($"{count / 1e6:0} MB"),
        _ => Invariant($"{count / 1e9:0.0} GB"),
    };

    public static string Microseconds(double value) => value switch
    {
        < 1_000 => Invariant($"{value:0.0} µs"),
        < 1_000_000 => Invariant($"{value / 1e3:0.00} ms"),
        _ => Invariant($"{value / 1e6:0.00} s"),
    };

    public static string Error(double value) => double.IsFinite(value) ? Invariant($"{value:0.0e-0}") : "not finite";

    public static string Percent(double share) => Invariant($"{100 * share:0.0} %");

    /// <summary>A size and what it was padded to, if it was.</summary>
    public static string Padded(int size, int padded) => padded == size ? Invariant($"{size}") : Invariant($"{size} → {padded}");

    /// <summary>A model's layers.</summary>
    public static string Layers(GptOssConfig config) => config.StoredLayerCount == config.LayerCount
        ? Count(config.LayerCount, "layer")
        : Invariant($"{Count(config.LayerCount, "layer")} with the weights of {config.StoredLayerCount}");

    /// <summary>A number with its noun: one token, 17 tokens.</summary>
    public static string Count(long count, string noun) => count == 1 ? $"one {noun}" : Invariant($"{count} {noun}s");
}
