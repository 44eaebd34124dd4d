namespace Moe.Plugins.Cli;

/// <summary>BF16 bits in host memory.</summary>
internal static class BFloat16
{
    /// <summary>The same number with the other sign.</summary>
    public static ushort Negate(ushort value) => (ushort)(value ^ 0x8000);

    /// <summary>The elements of a dense matrix in host memory.</summary>
    public static unsafe Span<ushort> Span(MoeTensorView view) => new((void*)view.Address, checked(view.Rows * view.Columns));

    /// <summary>The elements of one row of a matrix in host memory.</summary>
    public static unsafe Span<ushort> Row(MoeTensorView view, int row) => new((void*)view.RowAddress(row), view.Columns);
}
