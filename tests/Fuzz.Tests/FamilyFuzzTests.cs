using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Fuzz;

/// <summary>Models of each family: what their configs and the headers of their files say is read or refused.</summary>
public sealed class FamilyFuzzTests : IDisposable
{
    /// <summary>Where a file's tensors begin, so that another header does not move them: after a header of any length there are spaces.</summary>
    private const int DataStart = 64 << 10;

    private const int VariantCount = 100;

    private static readonly string[] Parts = ["dtype", "shape", "data_offsets"];

    private static readonly string Golden = Path.Combine(AppContext.BaseDirectory, "golden", "families");

    private static readonly byte[][] ConfigWords = FuzzTests.Texts(
        "text_config", "quantization_config", "ignore", "re:.*", "re:((", "*", "mlp_layer_types", "n_group", "topk_group", "0.5", "\"dense\"", "-0",
        "num_hidden_layers", "weight_block_size", "config_groups", "targets", "Linear", "format");

    private static readonly byte[][] HeaderWords = FuzzTests.Texts(
        "F32", "F16", "I8", "U32", "I64", "F8_E4M3", "F8_E8M0", "[8,96]", "[1]", "[0]", "4294967296", ".weight_scale", "_scales", "_blocks", ".bias",
        "model.layers.0.mlp.", "model.layers.4294967296.", ".experts.0.", ".experts.999999999.", "experts.-1.", "shared_expert", "gate_up_proj", "down_proj");

    private readonly string _folder = Directory.CreateTempSubdirectory("moe-fuzz-").FullName;
    private readonly ITestOutputHelper _output;

    public FamilyFuzzTests(ITestOutputHelper output) => _output = output;

    public static TheoryData<string> Families => [.. Directory.GetDirectories(Golden).Select(folder => Path.GetFileName(folder)!).Order(StringComparer.Ordinal)];

    /// <summary>Groups, lists for each layer, nested objects, what is quantised and what is not.</summary>
    [Theory]
    [MemberData(nameof(Families))]
    public void Configs(string family)
    {
        File.Copy(Path.Combine(Golden, family, "model.safetensors"), Path.Combine(_folder, "model.safetensors"));
        Fuzzer.Run(
            [File.ReadAllBytes(Path.Combine(Golden, family, "config.json"))],
            [.. FuzzTests.JsonWords, .. ConfigWords],
            input =>
            {
                File.WriteAllBytes(Path.Combine(_folder, "config.json"), input);
                ReadLayers();
            },
            _output,
            Families.Count);
    }

    /// <summary>Names, types and shapes of tensors that do not belong together.</summary>
    [Theory]
    [MemberData(nameof(Families))]
    public void Headers(string family)
    {
        File.Copy(Path.Combine(Golden, family, "config.json"), Path.Combine(_folder, "config.json"));
        byte[] model = File.ReadAllBytes(Path.Combine(Golden, family, "model.safetensors"));
        int headerLength = (int)BinaryPrimitives.ReadInt64LittleEndian(model);
        byte[] start = new byte[sizeof(long) + DataStart];
        BinaryPrimitives.WriteInt64LittleEndian(start, DataStart);
        using FileStream file = new(Path.Combine(_folder, "model.safetensors"), FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
        file.Write(start);
        file.Write(model.AsSpan(sizeof(long) + headerLength));
        Fuzzer.Run(
            [.. Variants(Encoding.UTF8.GetString(model.AsSpan(sizeof(long), headerLength)).TrimEnd())],
            [.. FuzzTests.JsonWords, .. HeaderWords],
            input =>
            {
                Span<byte> header = start.AsSpan(sizeof(long));
                header.Fill((byte)' ');
                input.AsSpan(0, Math.Min(input.Length, header.Length)).CopyTo(header);
                file.Position = 0;
                file.Write(start);
                ReadLayers();
            },
            _output,
            Families.Count);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    // Most changes of a byte make JSON that nobody reads. So tensors change their names, their types and their shapes with each other first,
    // and a comment, which is read and means nothing, takes some of the changes that follow.
    private static IEnumerable<byte[]> Variants(string header)
    {
        string comment = $"{{\"__metadata__\":{{\"comment\":\"{new string('x', header.Length)}\"}},";
        for (int number = 0; number < VariantCount; number++)
        {
            var random = new Random(number);
            JsonObject tensors = JsonNode.Parse(header)!.AsObject();
            tensors.Remove("__metadata__");
            string[] names = [.. tensors.Select(static tensor => tensor.Key)];
            for (int left = number == 0 ? 0 : random.Next(1, 4); left > 0; left--)
            {
                JsonObject one = tensors[names[random.Next(names.Length)]]!.AsObject();
                JsonObject other = tensors[names[random.Next(names.Length)]]!.AsObject();
                string part = Parts[random.Next(Parts.Length)];
                (JsonNode first, JsonNode second) = (one[part]!.DeepClone(), other[part]!.DeepClone());
                (one[part], other[part]) = (second, first);
            }

            yield return Encoding.UTF8.GetBytes(comment + tensors.ToJsonString()[1..]);
        }
    }

    // As a backend does: what a layer says of itself is held against its tensors, and an expert is read.
    private void ReadLayers()
    {
        using var checkpoint = Checkpoint.Open(_folder);
        foreach (CheckpointLayer layer in checkpoint.MoeLayers)
        {
            MoeLayerShape shape = layer.Shape;
            layer.Source.Validate(shape);
            ReadExpert(layer.Source.GateUp, shape.WeightFormat, shape.Activation.IsGated ? 2 * shape.IntermediateSize : shape.IntermediateSize, shape.Latent?.Width ?? shape.HiddenSize);
            ReadExpert(layer.Source.Down, shape.WeightFormat, shape.Latent?.Width ?? shape.HiddenSize, shape.IntermediateSize);
            _ = layer.Source.RouterWeight?.ToSingles();
            _ = layer.Source.SelectionBias?.ToSingles();
        }
    }

    private static unsafe void ReadExpert(MoeExpertMatrix matrix, MoeWeightFormat format, int outputs, int inputs)
    {
        var reader = new MoeExpertReader(matrix, format, outputs, inputs);
        void* values = NativeMemory.Alloc((nuint)outputs * (nuint)inputs, sizeof(float));
        try
        {
            reader.ReadSingles(0, (nint)values);
        }
        finally
        {
            NativeMemory.Free(values);
        }
    }
}
