namespace Moe.Plugins;

/// <summary>Finds tensors of a call that share memory: what is written through one is then read through the other, sooner or later.</summary>
internal static class TensorOverlap
{
    /// <summary>Whether two matrices share bytes and are not the same one. Rows may lie between another's rows.</summary>
    public static bool IsPartial(in MoeTensorView first, in MoeTensorView second)
    {
        if (first.Rows == 0 || second.Rows == 0 || first.Address >= EndOf(second) || second.Address >= EndOf(first))
        {
            return false;
        }

        if (first.Address == second.Address && first.RowBytes == second.RowBytes && first.RowStride == second.RowStride)
        {
            return false;
        }

        for (int i = 0, j = 0; i < first.Rows && j < second.Rows;)
        {
            nint one = first.RowAddress(i);
            nint other = second.RowAddress(j);
            if (one < other + second.RowBytes && other < one + first.RowBytes)
            {
                return true;
            }

            (i, j) = one < other ? (i + 1, j) : (i, j + 1);
        }

        return false;
    }

    private static long EndOf(in MoeTensorView view) => view.RowAddress(view.Rows - 1) + view.RowBytes;
}
