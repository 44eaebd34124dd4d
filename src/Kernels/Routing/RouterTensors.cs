using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The router's weights on the device. Float32 weights travel as a sum of three BF16 terms, which is exact.</summary>
public sealed class RouterTensors : DeviceArena
{
    /// <summary>Loads a router.</summary>
    /// <param name="context">The context, which must be current.</param>
    /// <param name="source">The checkpoint's tensors; the router's weight must be there.</param>
    /// <param name="shape">The layer's shape.</param>
    public RouterTensors(CudaContext context, MoeWeightSource source, MoeLayerShape shape)
        : base(context)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(shape);
        MoeStoredTensor weight = source.RouterWeight ?? throw new ArgumentException("The router's weight is missing.", nameof(source));
        Preset = RouterProgram.PresetOf(shape.Router);
        Terms = weight.ElementType == MoeElementType.BFloat16 ? 1 : 3;
        Weight = Upload<ushort>(Terms == 1 ? Read(weight) : Split(weight.ToSingles()));
        Bias = UploadBias(source.RouterBias);
        Program = RouterProgram.Of(shape.Router);
        Program.SelectionBias = UploadBias(source.SelectionBias);
        if (source.ReadTokenTable(shape) is { } table)
        {
            Program.Table = Upload<int>(table);
            Program.Vocabulary = table.Length / shape.TopK;
        }
    }

    /// <summary>The kernels' number of a program that has no constants; null for others. Found once, for looking it up allocates.</summary>
    internal int? Preset { get; }

    /// <summary>The program, as the kernels for any take it, but for a call's token ids.</summary>
    internal readonly RouterProgram Program;

    /// <summary>BF16 terms of each weight.</summary>
    public int Terms { get; }

    /// <summary>[terms, experts, hidden] BF16.</summary>
    public nint Weight { get; }

    /// <summary>[<see cref="RoutingBuffers.MaxExperts"/>] float32, of which the layer's experts have the first; or 0.</summary>
    public nint Bias { get; }

    // As long for every layer: the kernels read what experts there might be.
    private nint UploadBias(MoeStoredTensor? bias)
    {
        if (bias is null)
        {
            return 0;
        }

        float[] padded = new float[RoutingBuffers.MaxExperts];
        bias.ToSingles().CopyTo(padded, 0);
        return Upload<float>(padded);
    }

    private static unsafe ushort[] Read(MoeStoredTensor weight)
    {
        ushort[] values = new ushort[(long)weight.Rows * weight.Columns];
        fixed (ushort* start = values)
        {
            weight.ReadRows(0, 0, weight.Rows, (nint)start);
        }

        return values;
    }

    private ushort[] Split(float[] values)
    {
        ushort[] terms = new ushort[(long)Terms * values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            float rest = values[i];
            for (int term = 0; term < Terms; term++)
            {
                // Truncation leaves a rest that the next terms hold exactly: three times 8 bits are a float32's 24.
                uint bits = BitConverter.SingleToUInt32Bits(rest) & 0xFFFF_0000u;
                terms[((long)term * values.Length) + i] = (ushort)(bits >> 16);
                rest -= MoeBFloat16.ToSingle((ushort)(bits >> 16));
            }
        }

        return terms;
    }
}
