using System.Text.Json;

namespace Moe.Plugins.Cli;

/// <summary>Two results beside each other, for a program.</summary>
internal static class CompareJson
{
    public static void Write(Utf8JsonWriter writer, BenchResult before, BenchResult after, IReadOnlyList<RowChange> changes)
    {
        WriteRun(writer, "before", before);
        WriteRun(writer, "after", after);
        writer.WriteNumber("worse", changes.Count(change => change.IsRegression));
        writer.WriteNumber("better", changes.Count(change => change.IsImprovement));
        writer.WriteStartArray("rows");
        foreach (RowChange change in changes)
        {
            writer.WriteStartObject();
            writer.WriteString("backend", change.After.Backend);
            writer.WriteString("shape", change.After.Shape);
            writer.WriteString("weights", change.After.Weights);
            writer.WriteNumber("tokens", change.After.Tokens);
            writer.WriteNumberOrNull("before_microseconds", change.Before.Microseconds);
            writer.WriteNumberOrNull("after_microseconds", change.After.Microseconds);
            writer.WriteNumberOrNull("slower_microseconds", change.Slower);
            writer.WriteNumber("spread_microseconds", change.Spread);
            writer.WriteNumberOrNull("before_ratio_to_floor", change.Before.RatioToFloor);
            writer.WriteNumberOrNull("after_ratio_to_floor", change.After.RatioToFloor);
            writer.WriteString("verdict", change.Verdict);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static void WriteRun(Utf8JsonWriter writer, string name, BenchResult result)
    {
        writer.WriteStartObject(name);
        writer.WriteString("date", result.Date);
        writer.WriteString("device", result.Device);
        writer.WriteString("routing", result.Routing);
        writer.WriteNumber("copy_gbps", result.CopyGbps);
        writer.WriteEndObject();
    }
}
