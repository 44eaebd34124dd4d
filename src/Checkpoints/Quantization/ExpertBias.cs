namespace Moe.Plugins.Checkpoints;

/// <summary>Biases go over in their own type, whose numbers they are.</summary>
internal static class ExpertBias
{
    public static string TypeName(MoeElementType type) => type switch
    {
        MoeElementType.BFloat16 => SafetensorsType.BF16.Name(),
        MoeElementType.Float16 => SafetensorsType.F16.Name(),
        _ => SafetensorsType.F32.Name(),
    };

    public static byte[] Encode(float value, MoeElementType type) => type switch
    {
        MoeElementType.BFloat16 => BitConverter.GetBytes(MoeBFloat16.FromSingle(value)),
        MoeElementType.Float16 => BitConverter.GetBytes((Half)value),
        _ => BitConverter.GetBytes(value),
    };
}
