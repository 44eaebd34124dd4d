namespace Moe.Plugins.Cli;

/// <summary>This machine's memory, as far as this process may use it.</summary>
internal static class HostMemory
{
    /// <summary>Refuses a layer of random weights with its tokens before any of it is made, which takes minutes where it is large.</summary>
    /// <exception cref="CommandException">They need more than there is.</exception>
    public static void RequireLayer(MoeLayerShape shape, int tokens) => Require(
        $"a layer of {LayerShapeText.Describe(shape)} with {HumanText.Count(tokens, "token")}",
        LayerBytes.Count(shape, shape.HiddenSize, shape.IntermediateSize) + BytesOf(shape, tokens));

    /// <summary>Refuses tokens, and the room for their outputs, that are more than there is memory for.</summary>
    /// <exception cref="CommandException">They need more than there is.</exception>
    public static void RequireTokens(MoeLayerShape shape, int tokens) =>
        Require($"{HumanText.Count(tokens, "token")} of hidden size {shape.HiddenSize}", BytesOf(shape, tokens));

    /// <summary>Refuses work that needs more memory than there is: a system that overcommits ends the process instead.</summary>
    /// <exception cref="CommandException">It needs more.</exception>
    public static void Require(string what, double bytes)
    {
        long available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (bytes > available)
        {
            throw new CommandException(
                ExitCode.BadInput, $"Out of memory: {what} takes {HumanText.Bytes((long)Math.Min(bytes, long.MaxValue))}, and this process may use {HumanText.Bytes(available)}.");
        }
    }

    private static double BytesOf(MoeLayerShape shape, int tokens) => 2.0 * tokens * shape.HiddenSize * sizeof(float);
}
