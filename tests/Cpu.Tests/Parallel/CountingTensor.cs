namespace Moe.Plugins.Cpu.Tests;

/// <summary>A tensor that counts the bytes that are read of it.</summary>
internal sealed class CountingTensor(MoeStoredTensor inner, Action<long> count) : MoeStoredTensor(inner.ElementType, inner.Planes, inner.Rows, inner.Columns)
{
    /// <summary>The same weights, and how many of their bytes have been read.</summary>
    public static (MoeWeightSource Source, Func<long> Read) Count(MoeWeightSource source)
    {
        long read = 0;
        return (
            source with
            {
                RouterWeight = Tensor(source.RouterWeight),
                RouterBias = Tensor(source.RouterBias),
                GateUp = Of(source.GateUp),
                Down = Of(source.Down),
            },
            () => Interlocked.Read(ref read));

        MoeExpertMatrix Of(MoeExpertMatrix matrix) => matrix with { Values = OfValues(matrix.Values), Scales = Tensor(matrix.Scales), Bias = Tensor(matrix.Bias), Up = matrix.Up is null ? null : Of(matrix.Up) };

        MoeStoredTensor OfValues(MoeStoredTensor tensor) => new CountingTensor(tensor, bytes => Interlocked.Add(ref read, bytes));

        MoeStoredTensor? Tensor(MoeStoredTensor? tensor) => tensor is null ? null : OfValues(tensor);
    }

    protected override void ReadCore(int plane, int firstRow, int rowCount, long rowOffset, long byteCount, nint destination, long destinationStride)
    {
        int size = ElementType.ByteSize();
        inner.Read(plane, firstRow, rowCount, (int)(rowOffset / size), (int)(byteCount / size), destination, destinationStride);
        count(rowCount * byteCount);
    }
}
