namespace Moe.Plugins.Conformance;

/// <summary>What a rank holds after a call, on the host.</summary>
/// <param name="Output">The result.</param>
/// <param name="Sum">The sum with the residual, of a call that writes it; else what was there before.</param>
/// <param name="Trespass">What was written that is not the rank's to write; null where nothing was.</param>
internal sealed record GroupResult(MoeBuffer Output, MoeBuffer Sum, string? Trespass) : IDisposable
{
    /// <summary>Where two ranks' bits differ; null where they do not.</summary>
    public string? FirstDifference(GroupResult other) => FirstDifference(Output, other.Output, "the result") ?? FirstDifference(Sum, other.Sum, "the sum with the residual");

    public void Dispose()
    {
        Output.Dispose();
        Sum.Dispose();
    }

    private static string? FirstDifference(MoeBuffer one, MoeBuffer other, string what)
    {
        byte[] a = new byte[one.ByteCount];
        byte[] b = new byte[other.ByteCount];
        one.CopyToBytes(a);
        other.CopyToBytes(b);
        int at = a.AsSpan().CommonPrefixLength(b);
        return at == a.Length ? null : $"{what} differs from row {at / one.View.RowBytes}, byte {at % one.View.RowBytes} on";
    }
}
