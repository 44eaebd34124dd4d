using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>Writes a checkpoint anew with experts in MXFP4 and everything else byte for byte.</summary>
public static class CheckpointQuantizer
{
    private const string ConfigFileName = "config.json";

    /// <summary>
    /// Quantises a checkpoint of BF16, FP16, FP32 or FP8 experts, in compressed-tensors' naming, a shard for each layer. A run that was ended goes on
    /// where it was when it is called again with the same folder.
    /// </summary>
    /// <param name="model">The checkpoint's file or folder.</param>
    /// <param name="output">The folder to write: new, empty, or begun by this method.</param>
    /// <param name="searches">
    /// Whether a block of 32 takes the scale that loses less, of the OCP rule's (⌊log₂ of its largest value⌋ − 2) and the next; otherwise only the
    /// rule's. The result is the same on any machine.
    /// </param>
    /// <param name="progress">Told the share of the bytes that is written, 0 to 1.</param>
    /// <param name="cancellationToken">Ends it; what is whole stays.</param>
    /// <exception cref="MoeException">
    /// The checkpoint cannot be read or is in four bits already, the folder holds something else, or there is too little room.
    /// </exception>
    public static QuantizationReport ToMxfp4(
        string model, string output, bool searches = true, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(model);
        ArgumentException.ThrowIfNullOrWhiteSpace(output);
        using var checkpoint = Checkpoint.Open(model);
        if (checkpoint.MoeLayers.Count == 0)
        {
            throw new MoeException(MoeReason.Checkpoint, $"'{PlainText.Of(model)}' has no experts that could be quantised.");
        }

        string source = Directory.Exists(model) ? model : Path.GetDirectoryName(Path.GetFullPath(model))!;
        string config = Path.Combine(source, ConfigFileName);
        if (!File.Exists(config))
        {
            throw new MoeException(MoeReason.NotFound, $"'{PlainText.Of(source)}' has no {ConfigFileName}, which would say what is quantised.");
        }

        var plan = QuantizationPlan.Create(checkpoint);
        try
        {
            using QuantizationState state = QuantizationState.Open(output, checkpoint, searches);
            string[] others = [.. OtherFiles(source)];
            RequireRoom(output, plan.Shards.Where(shard => state.Find(shard) is null).Sum(shard => shard.ByteCount)
                + others.Where(file => !File.Exists(Path.Combine(output, Path.GetFileName(file)))).Sum(LengthOf));
            QuantizationReport report = WriteShards(plan, state, output, new Mxfp4Rounding(searches), progress, cancellationToken);
            CopyOtherFiles(others, output);
            WriteIndex(plan, output);
            WholeFile.Write(Path.Combine(output, ConfigFileName), QuantizedConfig.Announce(JsonFile.Read(config), plan.OtherModules));
            return report;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(MoeReason.NotFound, $"'{PlainText.Of(output)}' cannot be written: {PlainText.Of(exception.Message)}", exception);
        }
    }

    private static QuantizationReport WriteShards(
        QuantizationPlan plan, QuantizationState state, string output, Mxfp4Rounding rounding, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        long done = 0;
        var layers = new List<(string, double)>();
        foreach (QuantizedShard shard in plan.Shards)
        {
            cancellationToken.ThrowIfCancellationRequested();
            MoeRoundingSums? sums = state.Find(shard);
            if (sums is null)
            {
                long before = done;
                WholeFile.Write(Path.Combine(output, shard.FileName), stream => sums = Write(shard, stream, rounding, count =>
                {
                    before += count;
                    progress?.Report((double)before / plan.ByteCount);
                }, cancellationToken));
                state.Add(shard, sums!.Value);
            }

            done += shard.ByteCount;
            progress?.Report((double)done / plan.ByteCount);
            if (shard.Layer is not null)
            {
                layers.Add((shard.Layer.Name, sums!.Value.RelativeError));
            }
        }

        return new QuantizationReport(layers, plan.ByteCount);
    }

    private static MoeRoundingSums Write(
        QuantizedShard shard, Stream stream, Mxfp4Rounding rounding, Action<long> written, CancellationToken cancellationToken)
    {
        shard.WriteHeader(stream);
        if (shard.Layer is not null)
        {
            return new ExpertQuantizer(shard.Layer, rounding).Write(stream, written, cancellationToken);
        }

        foreach (QuantizedShard.Tensor tensor in shard.Tensors)
        {
            cancellationToken.ThrowIfCancellationRequested();
            tensor.File!.CopyTo(tensor.File.Tensors[tensor.Name], stream);
            written(tensor.ByteCount);
        }

        return default;
    }

    private static void RequireRoom(string folder, long needed)
    {
        long free = new DriveInfo(Path.GetFullPath(folder)).AvailableFreeSpace;
        if (free < needed)
        {
            throw new MoeException(
                MoeReason.Configuration, $"'{PlainText.Of(folder)}' needs {needed:N0} bytes more, and its file system has {free:N0} left.");
        }
    }

    // A model is more than its weights: tokenizer, templates, licence.
    private static IEnumerable<string> OtherFiles(string source) => Directory.EnumerateFiles(source).Where(file =>
    {
        string name = Path.GetFileName(file);
        bool isOwn = name is ConfigFileName or QuantizationState.FileName
            || name.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase)
            || name.EndsWith(".index.json", StringComparison.OrdinalIgnoreCase);
        return !isOwn && FileKinds.Of(file, followLinks: true) == FileKind.Regular;
    });

    private static long LengthOf(string path)
    {
        using FileStream file = File.OpenRead(path);
        return file.Length;
    }

    private static void CopyOtherFiles(IEnumerable<string> files, string output)
    {
        foreach (string file in files)
        {
            WholeFile.Write(Path.Combine(output, Path.GetFileName(file)), stream =>
            {
                using FileStream original = File.OpenRead(file);
                original.CopyTo(stream);
            });
        }
    }

    private static void WriteIndex(QuantizationPlan plan, string output) => WholeFile.Write(Path.Combine(output, ShardIndex.FileName), stream =>
    {
        using var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        writer.WriteStartObject();
        writer.WriteStartObject("metadata");
        writer.WriteNumber("total_size", plan.ByteCount);
        writer.WriteEndObject();
        writer.WriteStartObject("weight_map");
        foreach ((string tensor, string file) in plan.Shards
            .SelectMany(shard => shard.Tensors.Select(tensor => (tensor.Name, shard.FileName)))
            .OrderBy(entry => entry.Name, StringComparer.Ordinal))
        {
            writer.WriteString(tensor, file);
        }

        writer.WriteEndObject();
        writer.WriteEndObject();
    });
}
