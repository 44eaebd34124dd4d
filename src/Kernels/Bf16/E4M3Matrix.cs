using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>
/// One expert's FP8 matrix on the device as <c>few_tokens.cuh</c> reads it: codes as the checkpoint has them, half the bytes of BF16, and its scales.
/// </summary>
internal sealed class E4M3Matrix : DeviceArena
{
    private const int Slice = 64;
    private const int GroupRows = 16;
    private const int ScaledInputs = 32;
    private const ulong Magnitudes = 0x7f7f7f7f7f7f7f7f;

    private E4M3Matrix(CudaContext context, byte[] codes, float[] scales, int rows, int inputs, bool isGateUp)
        : base(context)
    {
        Codes = Upload<byte>(codes);
        Scales = Upload<float>(scales);
        if (context.Device.Architecture.HasWgmma && rows % GroupRows == 0)
        {
            int slices = Slices(inputs);
            Bands = SharedBands.Of(CudaTensorMapDataType.UInt8, Codes, rows, slices * Slice, isGateUp);
            ScaleBoxes = SharedBands.OfScales(Scales, rows / GroupRows, slices);
        }
    }

    /// <summary>E4M3 [rows, inputs rounded up to 64], dealt as the kernel's lanes read them.</summary>
    public nint Codes { get; }

    /// <summary>[rows / 16, inputs / 32, 2] float32: of the even rows and of the odd ones.</summary>
    public nint Scales { get; }

    /// <summary>How TMA finds the codes, as <see cref="SharedBands.Of"/> says: on devices with wgmma, of a multiple of 16 rows.</summary>
    public CudaTensorMap Bands { get; }

    /// <summary>How it finds their scales, as <see cref="SharedBands.OfScales"/> says.</summary>
    public CudaTensorMap ScaleBoxes { get; }

    /// <summary>Reads the only expert of a matrix. The context must be current.</summary>
    /// <param name="context">The context.</param>
    /// <param name="source">The matrix.</param>
    /// <param name="rows">Outputs, gates and ups counted apart: an even number.</param>
    /// <param name="inputs">Inputs.</param>
    /// <param name="isGateUp">Whether it is the first product's, of gates and ups.</param>
    /// <returns>Null where the kernel cannot read it so: it has NaN among its codes, or scales that 16 rows or 32 inputs do not share.</returns>
    /// <exception cref="MoeException">A tensor cannot be read.</exception>
    public static unsafe E4M3Matrix? Read(CudaContext context, MoeExpertMatrix source, int rows, int inputs, bool isGateUp)
    {
        var reader = new MoeExpertReader(source, MoeWeightFormat.Fp8Block, rows, inputs);
        // Gates and ups that are stored apart come as pairs of rows.
        bool dealsPairs = source.RowOrder != MoeRowOrder.Interleaved;
        int outputsOfGroup = dealsPairs ? GroupRows / 2 : GroupRows;
        MoeExpertMatrix up = source.Up ?? source;
        bool sharesScales = (source.ScaleRows | source.ScaleRowOffset | up.ScaleRows | up.ScaleRowOffset | (source.Up is null && dealsPairs ? rows / 2 : 0)) % outputsOfGroup == 0;
        if ((source.ScaleColumns | source.ScaleColumnOffset | up.ScaleColumns | up.ScaleColumnOffset) % ScaledInputs != 0 || !sharesScales)
        {
            return null;
        }

        byte[] stored = new byte[(long)rows * inputs];
        fixed (byte* address = stored)
        {
            reader.ReadValues(0, (nint)address);
        }

        byte[]? codes = Deal(stored, rows, inputs);
        if (codes is null)
        {
            return null;
        }

        int blocks = Slices(inputs) * (Slice / ScaledInputs);
        float[] scales = new float[(rows + GroupRows - 1) / GroupRows * blocks * 2];
        for (int half = 0; half < 2; half++)
        {
            MoeExpertMatrix of = half == 1 ? up : source;
            float[,] values = Decode(of.Scales!);
            int first = half == 1 && dealsPairs && source.Up is null ? rows / 2 : 0;
            for (int group = 0; group * GroupRows < rows; group++)
            {
                int row = (first + (group * outputsOfGroup) + of.ScaleRowOffset) / of.ScaleRows;
                for (int i = 0; i * ScaledInputs < inputs; i++)
                {
                    scales[(((group * blocks) + i) * 2) + half] = values[row, ((i * ScaledInputs) + of.ScaleColumnOffset) / of.ScaleColumns];
                }
            }
        }

        return new E4M3Matrix(context, codes, scales, rows, inputs, isGateUp);
    }

    private static int Slices(int inputs) => (inputs + Slice - 1) / Slice;

    // Of each 64 inputs 0 to 7, 32 to 39, 8 to 15, 40 to 47, …: a lane's 16 bytes are 8 of one half and 8 of the other.
    private static byte[]? Deal(byte[] stored, int rows, int inputs)
    {
        int slices = Slices(inputs);
        byte[] codes = new byte[(long)rows * slices * Slice];
        ReadOnlySpan<byte> from = stored;
        for (int row = 0; row < rows; row++)
        {
            for (int input = 0; input < inputs; input += sizeof(ulong))
            {
                ulong eight = BitConverter.ToUInt64(from.Slice((row * inputs) + input, sizeof(ulong)));

                // NaN has every bit of its magnitude: one more carries into the sign's place.
                if ((((eight & Magnitudes) + 0x0101010101010101) & ~Magnitudes) != 0)
                {
                    return null;
                }

                int within = input % Slice;
                int to = (within % 32 * 2) + (within / 32 * sizeof(ulong));
                BitConverter.TryWriteBytes(codes.AsSpan((row * slices * Slice) + input - within + to, sizeof(ulong)), eight);
            }
        }

        return codes;
    }

    private static unsafe float[,] Decode(MoeStoredTensor scales)
    {
        float[,] values = new float[scales.Rows, scales.Columns];
        if (scales.ElementType is MoeElementType.Float8E8M0 or MoeElementType.UInt8)
        {
            byte[] exponents = new byte[scales.Rows * scales.Columns];
            fixed (byte* address = exponents)
            {
                scales.ReadRows(0, 0, scales.Rows, (nint)address);
            }

            for (int i = 0; i < exponents.Length; i++)
            {
                values[i / scales.Columns, i % scales.Columns] = exponents[i] == byte.MaxValue ? float.NaN : (float)Math.ScaleB(1, exponents[i] - 127);
            }

            return values;
        }

        Buffer.BlockCopy(scales.ToSingles(), 0, values, 0, values.Length * sizeof(float));
        return values;
    }
}
