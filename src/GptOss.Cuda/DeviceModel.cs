using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>A rank's share of a model's weights on its device, all but the experts, and the table of rotations.</summary>
internal sealed class DeviceModel : DeviceArena
{
    /// <summary>What is read and copied at once.</summary>
    private const long PieceBytes = 16L << 20;

    /// <summary>Positions whose rotations are computed at once.</summary>
    private const int PositionPiece = 4096;

    private readonly List<Piece> _pieces = [];

    /// <summary>Reads the weights, several pieces ahead of what is copied.</summary>
    /// <exception cref="MoeException">A file cannot be read, or the device has no memory left.</exception>
    public DeviceModel(
        CudaContext context, ModelTensors tensors, ModelShare share, int positions, LoadProgress progress, CancellationToken cancellationToken)
        : base(context)
    {
        using CudaContextScope scope = context.MakeCurrent();
        try
        {
            Embedding = AddMatrix(share.OfVocabulary(tensors.Embedding));
            FinalNorm = Upload<float>(tensors.FinalNorm.ToSingles());
            Head = AddLinear(new LinearTensors { Weight = share.OfVocabulary(tensors.Head) });
            Layers = [.. tensors.Layers.Select((layer, i) => AddLayer(share.Of(layer), share.Config.IsSliding[i]))];
            Rotary = UploadRotary(share.Config, positions);
            ReadPieces(progress, cancellationToken);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>BF16 [vocabulary, hidden].</summary>
    public nint Embedding { get; }

    public DeviceLinear Head { get; }

    /// <summary>[hidden].</summary>
    public nint FinalNorm { get; }

    public IReadOnlyList<DeviceModelLayer> Layers { get; }

    /// <summary>[positions, half a head] of cosine and sine, times the attention factor.</summary>
    public nint Rotary { get; }

    /// <summary>Bytes of the matrices, which are nearly all there is.</summary>
    public static long ByteCountOf(GptOssConfig config)
    {
        long attention = (long)config.LayerCount * config.HiddenSize * config.HeadSize * 2 * (config.HeadCount + config.KeyValueHeadCount);
        return sizeof(ushort) * (attention + (2L * config.VocabularySize * config.HiddenSize));
    }

    private DeviceModelLayer AddLayer(LayerTensors layer, bool isSliding) => new()
    {
        IsSliding = isSliding,
        AttentionNorm = Upload<float>(layer.AttentionNorm.ToSingles()),
        QueryKeyValue = AddLinear(layer.QueryKeyValue),
        Sinks = Upload<float>(layer.Sinks.ToSingles()),
        Output = AddLinear(layer.Output),
        ExpertNorm = Upload<float>(layer.ExpertNorm.ToSingles()),
    };

    private DeviceLinear AddLinear(params LinearTensors[] parts) => new(
        AddMatrix([.. parts.Select(part => part.Weight)]),
        parts[0].Bias is null ? 0 : Upload<float>([.. parts.SelectMany(part => part.Bias!.ToSingles())]),
        parts.Sum(part => part.Weight.Rows),
        parts[0].Weight.Columns);

    /// <summary>Makes room for the rows of some tensors, which are read later.</summary>
    private nint AddMatrix(params MoeStoredTensor[] parts)
    {
        nint address = Allocate(parts.Sum(part => part.ByteCount));
        nint next = address;
        foreach (MoeStoredTensor part in parts)
        {
            int rows = (int)Math.Max(1, PieceBytes / part.RowBytes);
            for (int first = 0; first < part.Rows; first += rows)
            {
                var piece = new Piece(part, first, Math.Min(rows, part.Rows - first), next);
                _pieces.Add(piece);
                next += (nint)piece.ByteCount;
            }
        }

        return address;
    }

    private void ReadPieces(LoadProgress progress, CancellationToken cancellationToken)
    {
        using var staging = new ExpertStaging(Context, _pieces.Count, _pieces.Max(piece => piece.ByteCount));
        staging.Load(
            _pieces.Count,
            _pieces.Max(piece => piece.ByteCount),
            (i, host) => _pieces[i].Tensor.ReadRows(0, _pieces[i].FirstRow, _pieces[i].Rows, host),
            (i, device) => CudaMemory.Copy(_pieces[i].Target, device, _pieces[i].ByteCount, stream: 0),
            done => progress.Add(_pieces[done - 1].ByteCount),
            cancellationToken);
        _pieces.Clear();
    }

    private nint UploadRotary(GptOssConfig config, int positions)
    {
        int half = config.HeadSize / 2;
        var rotary = new RotaryPositions(config.Rotary, config.HeadSize, PositionPiece);
        nint address = Allocate((long)positions * half * 2 * sizeof(float));
        float[] values = new float[PositionPiece * half * 2];
        for (int first = 0; first < positions; first += PositionPiece)
        {
            int count = Math.Min(PositionPiece, positions - first);
            for (int i = 0; i < count; i++)
            {
                rotary.Set(i, first + i);
                rotary.CopyTurns(i, values.AsSpan(i * half * 2, half * 2));
            }

            CudaMemory.Upload<float>(address + (nint)((long)first * half * 2 * sizeof(float)), values.AsSpan(0, count * half * 2));
        }

        return address;
    }

    private sealed record Piece(MoeStoredTensor Tensor, int FirstRow, int Rows, nint Target)
    {
        public long ByteCount => Rows * Tensor.RowBytes;
    }
}
