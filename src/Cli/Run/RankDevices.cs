namespace Moe.Plugins.Cli;

/// <summary>Where ranks are that nobody placed.</summary>
internal static class RankDevices
{
    /// <summary>GPUs from one on, one a rank; ranks on the processor share it.</summary>
    public static IReadOnlyList<MoeDevice> From(MoeDevice first, int count) =>
        [.. Enumerable.Range(0, count).Select(rank => first.Kind == MoeDeviceKind.Cuda ? MoeDevice.Cuda(first.Ordinal + rank) : first)];
}
