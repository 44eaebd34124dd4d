using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>A rank's share of a model's weights on its device, all but the experts, and the table of rotations.</summary>
internal sealed class DeviceModel : DeviceArena
{
    /// <summary>What is read and copied at once.</summary>
    private const long PieceBytes = 4L << 20;

    /// <summary>Positions whose rotations are computed at once.</summary>
    private const int PositionPiece = 4096;

    private readonly List<WeightPiece> _pieces = [];

    /// <summary>Reads the weights, many pieces at once.</summary>
    /// <exception cref="MoeException">A file cannot be read, or the device has no memory left.</exception>
    public DeviceModel(
        KernelLibrary library, ModelTensors tensors, ModelShare share, int positions, LoadProgress progress, CancellationToken cancellationToken)
        : base(library.Context)
    {
        using CudaContextScope scope = Context.MakeCurrent();
        try
        {
            Embedding = AddMatrix(share.OfVocabulary(tensors.Embedding));
            FinalNorm = Upload<float>(tensors.FinalNorm.ToSingles());
            Head = AddLinear(new LinearTensors { Weight = share.OfVocabulary(tensors.Head) });
            Layers = [.. tensors.Layers.Select((layer, i) => AddLayer(share.Of(layer), share.Config.IsSliding[i]))];
            Rotary = AddRotary(share.Config, positions);
            library.Lanes.Load(_pieces, progress.Of(_pieces.Sum(piece => piece.ByteCount)), cancellationToken);
            _pieces.Clear();
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
            for (int start = 0; start < part.Rows; start += rows)
            {
                (int first, int count) = (start, Math.Min(rows, part.Rows - start));
                next = AddPiece(next, count * part.RowBytes, host => part.ReadRows(0, first, count, host));
            }
        }

        return address;
    }

    private nint AddRotary(GptOssConfig config, int positions)
    {
        int width = config.HeadSize / 2 * 2;
        nint address = Allocate((long)positions * width * sizeof(float));
        nint next = address;
        for (int start = 0; start < positions; start += PositionPiece)
        {
            (int first, int count) = (start, Math.Min(PositionPiece, positions - start));
            next = AddPiece(next, (long)count * width * sizeof(float), host => ComputeRotary(config, first, count, host));
        }

        return address;
    }

    private static unsafe void ComputeRotary(GptOssConfig config, int first, int count, nint host)
    {
        int width = config.HeadSize / 2 * 2;
        var rotary = new RotaryPositions(config.Rotary, config.HeadSize, count);
        for (int i = 0; i < count; i++)
        {
            rotary.Set(i, first + i);
            rotary.CopyTurns(i, new Span<float>((float*)host + ((long)i * width), width));
        }
    }

    /// <summary>Adds what is written into the host's memory, and copied from there.</summary>
    /// <returns>The address behind it.</returns>
    private nint AddPiece(nint target, long byteCount, Action<nint> read)
    {
        _pieces.Add(new WeightPiece(byteCount, read, (device, stream) => CudaMemory.Copy(target, device, byteCount, stream)));
        return target + (nint)byteCount;
    }
}
