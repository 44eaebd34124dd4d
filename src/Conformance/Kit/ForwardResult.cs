namespace Moe.Plugins.Conformance;

/// <summary>What came out of a forward, on the host.</summary>
/// <param name="Output">[tokens, hidden].</param>
/// <param name="Ids">[tokens, top-k] int32.</param>
/// <param name="Weights">[tokens, top-k] float32.</param>
/// <param name="Trespass">What was written where nothing may be; null where nothing was.</param>
/// <param name="InputChange">What was changed of the input; null where nothing was.</param>
internal sealed record ForwardResult(MoeBuffer Output, MoeBuffer Ids, MoeBuffer Weights, string? Trespass, string? InputChange) : IDisposable
{
    public void Dispose()
    {
        Output.Dispose();
        Ids.Dispose();
        Weights.Dispose();
    }

    /// <summary>The first element of the outputs that differs in its bits; null where none does.</summary>
    public static unsafe string? FirstDifference(ForwardResult result, ForwardResult reference)
    {
        var a = new ReadOnlySpan<byte>((void*)result.Output.View.Address, checked((int)result.Output.ByteCount));
        var b = new ReadOnlySpan<byte>((void*)reference.Output.View.Address, checked((int)reference.Output.ByteCount));
        int at = a.CommonPrefixLength(b);
        if (at == a.Length && a.Length == b.Length)
        {
            return null;
        }

        int element = at / result.Output.View.ElementType.ByteSize();
        int columns = result.Output.View.Columns;
        (int row, int column) = (element / columns, element % columns);
        return $"{FloatReader.Read(result.Output.View, row, column):g6} instead of {FloatReader.Read(reference.Output.View, row, column):g6} at token {row}, column {column}";
    }
}
