using Moe.Plugins.Checkpoints;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>Writes what a run computed.</summary>
internal static class OutputFile
{
    /// <exception cref="MoeException">The file cannot be written.</exception>
    public static void Save(string path, LayerRun run)
    {
        var writer = new SafetensorsWriter();
        Add(writer, "output", run.Output.View.ElementType == MoeElementType.BFloat16 ? SafetensorsType.BF16 : SafetensorsType.F32, run.Output);
        Add(writer, "topk_ids", SafetensorsType.I32, run.TopKIds);
        Add(writer, "topk_weights", SafetensorsType.F32, run.TopKWeights);
        writer.Save(path);
    }

    private static unsafe void Add(SafetensorsWriter writer, string name, SafetensorsType type, MoeBuffer tensor)
    {
        byte[] data = new ReadOnlySpan<byte>((void*)tensor.View.Address, checked((int)tensor.ByteCount)).ToArray();
        writer.Add(name, type, [tensor.View.Rows, tensor.View.Columns], data);
    }
}
