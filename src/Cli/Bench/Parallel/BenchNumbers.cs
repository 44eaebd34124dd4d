namespace Moe.Plugins.Cli;

/// <summary>What ranks bring: BF16 numbers from −2 to 2, each of its own bits.</summary>
internal static class BenchNumbers
{
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="seed">The run's.</param>
    /// <param name="stream">What tells these numbers from others of the run.</param>
    public static MoeBuffer Create(int rows, int columns, int seed, int stream)
    {
        MoeBuffer buffer = MoeBuffer.OnHost(MoeElementType.BFloat16, rows, columns);
        uint state = ((uint)seed * 0x9E3779B9u) ^ ((uint)stream * 0x85EBCA6Bu) ^ 0x27D4EB2Fu;
        Span<ushort> values = BFloat16.Span(buffer.View);
        for (int i = 0; i < values.Length; i++)
        {
            state = (state * 1664525u) + 1013904223u;
            values[i] = MoeBFloat16.FromSingle(((int)(state >> 8) - (1 << 23)) / (float)(1 << 22));
        }

        return buffer;
    }

    public static double At(MoeTensorView view, int row, int column) => MoeBFloat16.ToSingle(BFloat16.Row(view, row)[column]);
}
