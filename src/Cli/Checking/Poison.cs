namespace Moe.Plugins.Cli;

/// <summary>
/// What results are filled with before a forward, so that what a backend leaves unwritten does not look like one. No backend produces it:
/// in BF16 and in float32 it is a signalling NaN, and arithmetic gives only quiet ones (IEEE 754-2019, 6.2); as an id it is negative.
/// </summary>
internal static class Poison
{
    private const ushort Pattern = 0xFFA5;
    private const uint WidePattern = 0xFFA5FFA5;

    /// <summary>Fills a dense tensor in host memory.</summary>
    public static unsafe void Fill(MoeBuffer tensor)
    {
        for (int row = 0; row < tensor.View.Rows; row++)
        {
            new Span<ushort>((void*)tensor.View.RowAddress(row), checked((int)(tensor.View.RowBytes / sizeof(ushort)))).Fill(Pattern);
        }
    }

    /// <summary>Values of a matrix of BF16 or four-byte elements in host memory that are still as they were filled.</summary>
    public static unsafe long CountLeft(MoeTensorView view)
    {
        long left = 0;
        for (int row = 0; row < view.Rows; row++)
        {
            left += view.ElementType == MoeElementType.BFloat16
                ? new ReadOnlySpan<ushort>((void*)view.RowAddress(row), view.Columns).Count(Pattern)
                : new ReadOnlySpan<uint>((void*)view.RowAddress(row), view.Columns).Count(WidePattern);
        }

        return left;
    }
}
