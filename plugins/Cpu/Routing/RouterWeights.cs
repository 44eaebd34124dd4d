using System.Runtime.InteropServices;

namespace Moe.Plugins.Cpu;

/// <summary>The router's weights, biases and table, widened.</summary>
internal sealed unsafe class RouterWeights : IDisposable
{
    private readonly NativeBuffer _weights;
    private readonly int _hiddenSize;
    private readonly float[]? _bias;
    private readonly int[]? _table;
    private readonly int _topK;

    public RouterWeights(MoeWeightSource source, MoeLayerShape shape)
    {
        _hiddenSize = shape.HiddenSize;
        _topK = shape.TopK;
        _weights = new NativeBuffer((long)shape.ExpertCount * _hiddenSize * sizeof(float));
        source.RouterWeight!.ReadSingles(0, 0, shape.ExpertCount, (nint)_weights.Pointer<float>());
        _bias = source.RouterBias?.ToSingles();
        SelectionBias = source.SelectionBias?.ToSingles();
        _table = source.TokenTable is null ? null : ReadTable(source.TokenTable, shape);
    }

    /// <summary>What the scores get before experts are chosen; null for nothing.</summary>
    public float[]? SelectionBias { get; }

    /// <summary>Token ids that the table knows.</summary>
    public int VocabularySize => (_table?.Length ?? 0) / _topK;

    public long ByteCount => _weights.ByteCount + (sizeof(float) * ((_bias?.Length ?? 0) + (SelectionBias?.Length ?? 0) + (_table?.Length ?? 0L)));

    public float* Row(int expert) => _weights.Pointer<float>() + ((long)expert * _hiddenSize);

    public float Bias(int expert) => _bias is null ? 0 : _bias[expert];

    /// <summary>The experts of a token id.</summary>
    public ReadOnlySpan<int> Experts(int tokenId) => _table.AsSpan(tokenId * _topK, _topK);

    public void Dispose() => _weights.Dispose();

    private static int[] ReadTable(MoeStoredTensor table, MoeLayerShape shape)
    {
        int[] ids = new int[checked(table.Rows * table.Columns)];
        byte[] bytes = new byte[table.ByteCount];
        fixed (byte* target = bytes)
        {
            table.ReadRows(0, 0, table.Rows, (nint)target);
        }

        for (int i = 0; i < ids.Length; i++)
        {
            long id = table.ElementType == MoeElementType.Int64 ? MemoryMarshal.Cast<byte, long>(bytes)[i] : MemoryMarshal.Cast<byte, int>(bytes)[i];
            ids[i] = id >= 0 && id < shape.ExpertCount
                ? (int)id
                : throw new MoeException(
                    MoeReason.Checkpoint,
                    $"The table of tokens sends token id {i / table.Columns} to expert {id}; 0 to {shape.ExpertCount - 1} is expected.");
        }

        return ids;
    }
}
