namespace Moe.Plugins.Checkpoints;

/// <summary>The rules by which tensors fill a file's data: each as long as its shape says, one after the other, nothing left over.</summary>
internal static class SafetensorsLayout
{
    public static MoeException Error(string path, string what) => new(MoeReason.Checkpoint, $"'{PlainText.Of(path)}' is no safetensors file: {what}.");

    /// <summary>Makes a tensor of what its header entry says, or says which part of it is missing or contradicts another.</summary>
    public static SafetensorsTensor CreateTensor(
        string path, string name, SafetensorsType? type, string? unknownType, long[]? shape, long[]? range)
    {
        if (type is not SafetensorsType elementType || shape is null || range is null)
        {
            string missing = type is null ? "dtype" : shape is null ? "shape" : "data_offsets";
            throw Error(path, $"tensor '{PlainText.Of(name)}' has no {missing}");
        }

        if (range is not [long begin, long end] || end < begin)
        {
            throw Error(path, $"tensor '{PlainText.Of(name)}' has the data_offsets [{PlainText.Of(string.Join(", ", range))}]; [begin, end] with end >= begin is expected");
        }

        long byteCount = end - begin;
        if (elementType != SafetensorsType.Unknown)
        {
            CheckByteCount(path, name, elementType, shape, begin, end);
        }

        return new SafetensorsTensor(name, elementType, unknownType, shape, begin, byteCount);
    }

    private static void CheckByteCount(string path, string name, SafetensorsType elementType, long[] shape, long begin, long end)
    {
        if (!TryCountBytes(elementType, shape, out long byteCount))
        {
            throw Error(path, $"tensor '{PlainText.Of(name)}' is {SafetensorsTensor.Describe(elementType.Name(), shape)}, which is no whole number of bytes that a file could hold");
        }

        if (end - begin != byteCount)
        {
            string description = SafetensorsTensor.Describe(elementType.Name(), shape);
            throw Error(path, $"tensor '{PlainText.Of(name)}' is {description}, {byteCount} bytes, but its data_offsets [{begin}, {end}] hold {end - begin}");
        }
    }

    /// <summary>Checks that the tensors follow each other without overlap or hole and end where the file ends.</summary>
    public static void Check(string path, IReadOnlyCollection<SafetensorsTensor> tensors, long dataByteCount)
    {
        var inOrder = tensors.ToArray();
        if (!IsInOrder(inOrder))
        {
            Array.Sort(inOrder, static (a, b) => (a.Offset, a.ByteCount).CompareTo((b.Offset, b.ByteCount)));
        }

        long expected = 0;
        SafetensorsTensor? before = null;
        foreach (SafetensorsTensor tensor in inOrder)
        {
            if (tensor.Offset != expected)
            {
                string fault = tensor.Offset < expected ? "overlaps" : "leaves a hole after";
                string after = before is null ? "the start of the data" : $"tensor '{PlainText.Of(before.Name)}'";
                throw Error(path, $"tensor '{PlainText.Of(tensor.Name)}' {fault} {after}: it begins at byte {tensor.Offset}, and {expected} is expected");
            }

            expected += tensor.ByteCount;
            before = tensor;
            if (expected > dataByteCount)
            {
                throw Error(path, $"tensor '{PlainText.Of(tensor.Name)}' ends at byte {expected} of the data, and the file has {dataByteCount}: it is cut short");
            }
        }

        if (expected != dataByteCount)
        {
            throw Error(path, $"its tensors end at byte {expected} of the data, and the file goes on to {dataByteCount}");
        }
    }

    // As every writer leaves them: then there is nothing to sort, and a header of many thousand tensors opens in half of the time.
    private static bool IsInOrder(SafetensorsTensor[] tensors)
    {
        for (int i = 1; i < tensors.Length; i++)
        {
            if ((tensors[i - 1].Offset, tensors[i - 1].ByteCount).CompareTo((tensors[i].Offset, tensors[i].ByteCount)) > 0)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Bytes of a tensor; false where they overflow, or where elements smaller than a byte do not fill the last one.</summary>
    public static bool TryCountBytes(SafetensorsType type, IReadOnlyList<long> shape, out long byteCount)
    {
        byteCount = 0;
        UInt128 bits = (UInt128)type.Bits();
        foreach (long size in shape)
        {
            // Neither factor is above 2^66, so the check must come before a product that could wrap.
            if (size != 0 && bits > (UInt128)long.MaxValue * 8 / (UInt128)size)
            {
                return false;
            }

            bits *= (UInt128)size;
        }

        byteCount = (long)(bits / 8);
        return bits % 8 == 0;
    }
}
