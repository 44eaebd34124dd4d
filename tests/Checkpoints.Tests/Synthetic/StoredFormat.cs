using System.Text.Json.Nodes;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Checkpoints.Tests;

/// <summary>One way to store a matrix: how tools name its tensors, what they announce, and the numbers that the bytes stand for.</summary>
internal sealed record StoredFormat(string Name, MoeWeightFormat Format)
{
    private static readonly double[] Fp4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6];

    public static IReadOnlyList<StoredFormat> All { get; } =
    [
        new("bf16", MoeWeightFormat.BFloat16),
        new("f16", MoeWeightFormat.Float16),
        new("f32", MoeWeightFormat.Float32),
        new("compressed-tensors mxfp4", MoeWeightFormat.Mxfp4),
        new("quark mxfp4", MoeWeightFormat.Mxfp4),
        new("modelopt mxfp4", MoeWeightFormat.Mxfp4),
        new("native mxfp4", MoeWeightFormat.Mxfp4),
        new("ling mxfp4", MoeWeightFormat.Mxfp4),
        new("modelopt nvfp4", MoeWeightFormat.Nvfp4),
        new("compressed-tensors nvfp4", MoeWeightFormat.Nvfp4),
        new("fp8 f32", MoeWeightFormat.Fp8Block),
        new("fp8 e8m0", MoeWeightFormat.Fp8Block),
        new("fp8 row", MoeWeightFormat.Fp8Block),
        new("mxfp8", MoeWeightFormat.Fp8Block),
    ];

    /// <summary>What a config of this tool says; null where nothing is said.</summary>
    public string? Config => Name switch
    {
        "compressed-tensors mxfp4" => """{"quant_method":"compressed-tensors","format":"mxfp4-pack-quantized","ignore":["lm_head","re:.*shared_expert.*","re:.*gate$"]}""",
        "compressed-tensors nvfp4" => """
            {"quant_method":"compressed-tensors","format":"mixed-precision","config_groups":{
              "group_0":{"targets":["re:.*self_attn.*"],"format":"float-quantized"},"group_1":{"targets":["Linear"],"format":"nvfp4-pack-quantized"}}}
            """,
        "quark mxfp4" => """
            {"quant_method":"quark","exclude":["lm_head","*.self_attn.*"],"global_quant_config":{"weight":{"dtype":"fp4","qscheme":"per_group","group_size":32,"scale_format":"e8m0"}}}
            """,
        "modelopt mxfp4" => """{"quant_method":"modelopt","quant_algo":"W4A8_MXFP4_FP8","group_size":32,"exclude_modules":["lm_head","*gate"]}""",
        "modelopt nvfp4" => """{"quant_method":"modelopt","quant_algo":"NVFP4","group_size":16,"exclude_modules":["lm_head"]}""",
        "native mxfp4" => """{"quant_method":"fp8","fmt":"e4m3","scale_fmt":"ue8m0","weight_block_size":[32,32]}""",
        "ling mxfp4" => """{"quant_method":"fp8","routed_experts_quant_method":"mxfp4","scale_fmt":"ue8m0","weight_block_size":[32,32]}""",
        "fp8 f32" or "fp8 e8m0" => """{"quant_method":"fp8","weight_block_size":[32,32],"modules_to_not_convert":["lm_head"]}""",
        "fp8 row" => """{"quant_method":"compressed-tensors","format":"float-quantized"}""",
        _ => null,
    };

    public void Announce(JsonObject config)
    {
        if (Config is string text)
        {
            config["quantization_config"] = JsonNode.Parse(text);
        }
    }

    /// <summary>Adds a matrix [rows, columns] under a module's name.</summary>
    /// <returns>Its numbers.</returns>
    public float[] Add(SyntheticModel model, string module, int rows, int columns) => Format switch
    {
        MoeWeightFormat.BFloat16 => model.AddNumbers($"{module}.weight", SafetensorsType.BF16, rows, columns),
        MoeWeightFormat.Float16 => model.AddNumbers($"{module}.weight", SafetensorsType.F16, rows, columns),
        MoeWeightFormat.Float32 => model.AddNumbers($"{module}.weight", SafetensorsType.F32, rows, columns),
        MoeWeightFormat.Mxfp4 => AddMxfp4(model, module, rows, columns),
        MoeWeightFormat.Nvfp4 => AddNvfp4(model, module, rows, columns),
        _ => AddFp8(model, module, rows, columns),
    };

    private float[] AddMxfp4(SyntheticModel model, string module, int rows, int columns)
    {
        byte[] codes = Bytes(model, rows * columns / 2, 0, 256);
        byte[] scales = Bytes(model, rows * columns / 32, 115, 127);
        (string values, SafetensorsType type, string scale, SafetensorsType scaleType) = Name switch
        {
            "compressed-tensors mxfp4" => (".weight_packed", SafetensorsType.U8, ".weight_scale", SafetensorsType.U8),
            "native mxfp4" => (".weight", SafetensorsType.I8, ".scale", SafetensorsType.F8E8M0),
            "ling mxfp4" => (".weight", SafetensorsType.U8, ".weight_scale_inv", SafetensorsType.U8),
            _ => (".weight", SafetensorsType.U8, ".weight_scale", SafetensorsType.U8),
        };
        model.Add(module + values, type, [rows, columns / 2], codes);
        model.Add(module + scale, scaleType, [rows, columns / 32], scales);
        return Decode(rows, columns, i => Code(codes, i) * Math.ScaleB(1, scales[i / 32] - 127));
    }

    private float[] AddNvfp4(SyntheticModel model, string module, int rows, int columns)
    {
        byte[] codes = Bytes(model, rows * columns / 2, 0, 256);
        byte[] scales = Bytes(model, rows * columns / 16, 0x30, 0x48);
        bool divides = Name.StartsWith("compressed", StringComparison.Ordinal);

        // A power of two, so that a reciprocal is exact; each matrix has its own.
        float global = MathF.ScaleB(1, model.Random.Next(-6, 0));
        model.Add(module + (divides ? ".weight_packed" : ".weight"), SafetensorsType.U8, [rows, columns / 2], codes);
        model.Add($"{module}.weight_scale", SafetensorsType.F8E4M3, [rows, columns / 16], scales);
        model.Add($"{module}.{(divides ? "weight_global_scale" : "weight_scale_2")}", SafetensorsType.F32, divides ? [1] : [], BitConverter.GetBytes(divides ? 1 / global : global));
        model.Add($"{module}.{(divides ? "input_global_scale" : "input_scale")}", SafetensorsType.F32, [1], BitConverter.GetBytes(1f));
        return Decode(rows, columns, i => Code(codes, i) * E4M3.Decode(scales[i / 16]) * global);
    }

    private float[] AddFp8(SyntheticModel model, string module, int rows, int columns)
    {
        byte[] values = Bytes(model, rows * columns, 0, 0x7F);
        (int blockRows, int blockColumns) = Name switch { "fp8 row" => (1, columns), "mxfp8" => (1, 32), _ => (32, 32) };
        int across = columns / blockColumns;
        byte[] bytes = Bytes(model, rows / blockRows * across, 115, 127);
        bool isByte = Name is "fp8 e8m0" or "mxfp8";
        SafetensorsType type = Name switch { "fp8 e8m0" => SafetensorsType.F8E8M0, "mxfp8" => SafetensorsType.U8, "fp8 row" => SafetensorsType.BF16, _ => SafetensorsType.F32 };
        float[] scales = [.. bytes.Select(value => MathF.ScaleB(1, value - 127))];
        model.Add($"{module}.weight", SafetensorsType.F8E4M3, [rows, columns], values);
        model.Add(
            $"{module}.{(Name is "fp8 row" or "mxfp8" ? "weight_scale" : "weight_scale_inv")}", type, [rows / blockRows, across],
            isByte ? bytes : SyntheticModel.Encode(scales, type));
        return Decode(rows, columns, i => E4M3.Decode(values[i]) * scales[(i / columns / blockRows * across) + (i % columns / blockColumns)]);
    }

    private static double Code(byte[] codes, int index) => Fp4[(codes[index / 2] >> (4 * (index % 2))) & 15];

    private static float[] Decode(int rows, int columns, Func<int, double> value) =>
        [.. Enumerable.Range(0, rows * columns).Select(i => (float)value(i))];

    private static byte[] Bytes(SyntheticModel model, int count, int from, int to) =>
        [.. Enumerable.Range(0, count).Select(_ => (byte)model.Random.Next(from, to))];

    public override string ToString() => Name;
}
