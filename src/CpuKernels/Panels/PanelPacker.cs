namespace Moe.Plugins.Cpu;

/// <summary>Copies a checkpoint's matrix into panels.</summary>
internal static unsafe class PanelPacker
{
    /// <summary>Fills one panel.</summary>
    /// <param name="target">The panels.</param>
    /// <param name="source">The checkpoint's matrix.</param>
    /// <param name="expert">The expert.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="rows">The output that each of the panel's 32 rows holds; −1 for none.</param>
    public static void Pack(PanelMatrix target, MoeExpertMatrix source, int expert, int panel, ReadOnlySpan<int> rows)
    {
        for (int lane = 0; lane < PanelKernel.Rows; lane++)
        {
            int row = rows[lane];
            target.Bias(expert, panel)[lane] = row < 0 || source.Bias.IsEmpty ? 0f : Floats.Read(source.Bias, expert, row);
            if (source.Values.ElementType == MoeElementType.UInt8)
            {
                PackMxfp4(target, source, expert, panel, lane, row);
            }
            else
            {
                PackBf16(target, source, expert, panel, lane, row);
            }
        }
    }

    private static void PackMxfp4(PanelMatrix target, MoeExpertMatrix source, int expert, int panel, int lane, int row)
    {
        byte* codes = target.Codes(expert, panel) + lane;
        byte* scales = target.Scales(expert, panel) + lane;
        Strided(codes, row < 0 ? null : (byte*)source.Values.RowAddress(row, expert), source.Values.Columns);
        Strided(scales, row < 0 ? null : (byte*)source.Scales.RowAddress(row, expert), source.Scales.Columns);
    }

    private static void Strided(byte* target, byte* source, int count)
    {
        for (int i = 0; i < count; i++)
        {
            target[(long)i * PanelKernel.Rows] = source is null ? (byte)0 : source[i];
        }
    }

    private static void PackBf16(PanelMatrix target, MoeExpertMatrix source, int expert, int panel, int lane, int row)
    {
        MoeTensorView values = source.Values;
        bool isOutputMajor = source.Order == MoeMatrixOrder.OutputMajor;
        int inputs = isOutputMajor ? values.Columns : values.Rows;
        long step = isOutputMajor ? sizeof(ushort) : values.RowStride;
        byte* first = row < 0
            ? null
            : (byte*)(isOutputMajor ? values.RowAddress(row, expert) : values.RowAddress(0, expert) + ((long)row * sizeof(ushort)));
        uint* codes = (uint*)target.Codes(expert, panel) + lane;
        for (int pair = 0; pair < target.Pairs; pair++)
        {
            uint low = 0, high = 0;
            if (first is not null)
            {
                low = *(ushort*)(first + (2 * pair * step));
                high = (2 * pair) + 1 < inputs ? *(ushort*)(first + (((2 * pair) + 1) * step)) : 0u;
            }

            codes[(long)pair * PanelKernel.Rows] = low | (high << 16);
        }
    }
}
