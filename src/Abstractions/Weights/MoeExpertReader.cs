using System.Runtime.CompilerServices;

namespace Moe.Plugins;

/// <summary>
/// Reads an expert's matrix in the one order that backends repack from, whatever the checkpoint has: [outputs, inputs], output-major, of
/// a first product with gates output 2i is gate i and output 2i + 1 is up i. As it is stored, or decoded to float32 or BF16.
/// </summary>
/// <remarks>All members may be called from several threads at once. Reads go to memory of the caller's, dense.</remarks>
public sealed unsafe class MoeExpertReader
{
    /// <summary>Inputs that share a scale in MXFP4, as in every MX format (OCP Microscaling Formats v1.0, §5.1).</summary>
    public const int Mxfp4Block = 32;

    /// <summary>Inputs that share a scale in NVFP4.</summary>
    public const int Nvfp4Block = 16;

    /// <summary>E2M1 (OCP Microscaling Formats v1.0, §5.3.3); code 8 is −0.</summary>
    private static readonly float[] Fp4 = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6];

    private static readonly float[] E4M3 = [.. Enumerable.Range(0, 256).Select(bits => DecodeE4M3((byte)bits))];
    private static readonly float[] E8M0 = [.. Enumerable.Range(0, 256).Select(bits => bits == 255 ? float.NaN : (float)Math.ScaleB(1, bits - 127))];

    private readonly Piece[] _pieces;

    /// <summary>Prepares to read a matrix.</summary>
    /// <param name="matrix">The matrix, checked against the layer's shape.</param>
    /// <param name="format">How it is stored.</param>
    /// <param name="outputs">Outputs of an expert, gates and ups counted apart.</param>
    /// <param name="inputs">Inputs.</param>
    /// <exception cref="ArgumentException">The matrix has fewer biases or scales than so many outputs and inputs need.</exception>
    public MoeExpertReader(MoeExpertMatrix matrix, MoeWeightFormat format, int outputs, int inputs)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        ArgumentCheck.ThrowIfUndefined(format);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        Format = format;
        Outputs = outputs;
        Inputs = inputs;
        HasBias = matrix.Bias is not null;
        _pieces = matrix.RowOrder switch
        {
            MoeRowOrder.Interleaved => [new(matrix, 0, outputs, 0, 1)],
            MoeRowOrder.GateThenUp => [new(matrix, 0, outputs / 2, 0, 2), new(matrix, outputs / 2, outputs / 2, 1, 2)],
            MoeRowOrder.Separate => [new(matrix, 0, outputs / 2, 0, 2), new(matrix.Up!, 0, outputs / 2, 1, 2)],
            _ => throw new MoeException(MoeReason.Format, $"Row order {(int)matrix.RowOrder} is not one of this contract's."),
        };
        foreach (Piece piece in _pieces)
        {
            piece.CheckBiasAndScales(format, inputs);
        }

        ValueBytes = format switch
        {
            MoeWeightFormat.Mxfp4 or MoeWeightFormat.Nvfp4 => (long)outputs * inputs / 2,
            MoeWeightFormat.Fp8Block => (long)outputs * inputs,
            MoeWeightFormat.BFloat16 or MoeWeightFormat.Float16 => 2L * outputs * inputs,
            MoeWeightFormat.Float32 => 4L * outputs * inputs,
            _ => throw new System.Diagnostics.UnreachableException(),
        };
    }

    /// <summary>How the matrix is stored.</summary>
    public MoeWeightFormat Format { get; }

    /// <summary>Outputs of an expert, gates and ups counted apart.</summary>
    public int Outputs { get; }

    /// <summary>Inputs.</summary>
    public int Inputs { get; }

    /// <summary>Whether there is a bias.</summary>
    public bool HasBias { get; }

    /// <summary>Bytes of an expert's values as they are stored: what <see cref="ReadValues"/> writes.</summary>
    public long ValueBytes { get; }

    /// <summary>Bytes of an expert's scales, MXFP4 only: what <see cref="ReadScales"/> writes.</summary>
    public long ScaleBytes => Format == MoeWeightFormat.Mxfp4 ? (long)Outputs * Inputs / Mxfp4Block : 0;

    /// <summary>Copies an expert's values as they are stored: codes, or numbers.</summary>
    /// <exception cref="MoeException">A tensor cannot be read.</exception>
    public void ReadValues(int expert, nint destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(expert);
        long rowBytes = ValueBytes / Outputs;
        foreach (Piece piece in _pieces)
        {
            piece.ReadValues(expert, destination, rowBytes, Inputs);
        }
    }

    /// <summary>Copies an expert's scales, [outputs, inputs / 32] E8M0 bytes; MXFP4 only.</summary>
    /// <exception cref="MoeException">A tensor cannot be read.</exception>
    public void ReadScales(int expert, nint destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(expert);
        long rowBytes = ScaleBytes / Outputs;
        foreach (Piece piece in _pieces)
        {
            piece.Matrix.Scales!.ReadRows(
                expert, piece.First, piece.Count, destination + (nint)(piece.Start * rowBytes), piece.Step * rowBytes);
        }
    }

    /// <summary>An expert's biases in float32, one per output; zeros where there are none.</summary>
    /// <exception cref="MoeException">A tensor cannot be read.</exception>
    public void ReadBias(int expert, nint destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(expert);
        float* target = (float*)destination;
        new Span<float>(target, Outputs).Clear();
        foreach (Piece piece in _pieces)
        {
            if (piece.Matrix.Bias is { } bias)
            {
                using var row = new MoeStoredTensor.Scratch(bias.Columns * sizeof(float));
                bias.ReadSingles(0, expert, 1, row.Address);
                for (int i = 0; i < piece.Count; i++)
                {
                    target[piece.Start + (i * piece.Step)] = ((float*)row.Address)[piece.First + i];
                }
            }
        }
    }

    /// <summary>Decodes an expert's weights to float32. Exact but for formats whose scales are no powers of two, which are rounded once.</summary>
    /// <exception cref="MoeException">A tensor cannot be read.</exception>
    public void ReadSingles(int expert, nint destination) =>
        Decode(expert, (output, row) => new ReadOnlySpan<float>(row, Inputs).CopyTo(new Span<float>((float*)destination + ((long)output * Inputs), Inputs)));

    /// <summary>
    /// Whether each output's weights have a factor: NVFP4's global scale. Without it they are exact in BF16 (E2M1 times E4M3 has six significant bits), and
    /// a method can multiply sums by it in float32.
    /// </summary>
    public bool HasFactors => Format == MoeWeightFormat.Nvfp4 && _pieces.Any(piece => piece.Matrix.GlobalScales is not null);

    /// <summary>Decodes an expert's weights to BF16.</summary>
    /// <returns>‖stored − BF16‖² and ‖stored‖², summed over the matrix: what the rounding cost.</returns>
    /// <exception cref="MoeException">A tensor cannot be read.</exception>
    public MoeRoundingSums ReadBFloat16(int expert, nint destination)
    {
        if (Format == MoeWeightFormat.BFloat16)
        {
            ReadValues(expert, destination);
            return default;
        }

        double errors = 0, squares = 0;
        Decode(expert, (output, row) =>
        {
            ushort* target = (ushort*)destination + ((long)output * Inputs);
            for (int i = 0; i < Inputs; i++)
            {
                target[i] = MoeBFloat16.FromSingle(row[i]);
                double error = row[i] - MoeBFloat16.ToSingle(target[i]);
                errors += error * error;
                squares += (double)row[i] * row[i];
            }
        });
        return new MoeRoundingSums(errors, squares);
    }

    /// <summary>Decodes an expert's weights to BF16 as they are without their factors, and reads those: both are exact (<see cref="HasFactors"/>).</summary>
    /// <param name="expert">The expert.</param>
    /// <param name="destination">[outputs, inputs] BF16.</param>
    /// <param name="factors">[outputs] float32: what an output's weights are to be multiplied by.</param>
    /// <exception cref="InvalidOperationException">There are no factors.</exception>
    /// <exception cref="MoeException">A tensor cannot be read.</exception>
    public void ReadBFloat16(int expert, nint destination, nint factors)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(expert);
        if (!HasFactors)
        {
            throw new InvalidOperationException($"Weights in {Format} have no factors.");
        }

        foreach (Piece piece in _pieces)
        {
            float factor = piece.Factor(expert);
            for (int i = 0; i < piece.Count; i++)
            {
                ((float*)factors)[piece.Start + (i * piece.Step)] = factor;
            }
        }

        Decode(
            expert,
            (output, row) =>
            {
                for (int i = 0; i < Inputs; i++)
                {
                    ((ushort*)destination)[((long)output * Inputs) + i] = MoeBFloat16.FromSingle(row[i]);
                }
            },
            isWhole: false);
    }

    private delegate void Take(int output, float* row);

    /// <summary>Hands out an expert's rows in float32; with their factors, if whole.</summary>
    private void Decode(int expert, Take take, bool isWhole = true)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(expert);
        using var values = new MoeStoredTensor.Scratch(ValueBytes);
        using var row = new MoeStoredTensor.Scratch(Inputs * sizeof(float));
        ReadValues(expert, values.Address);
        long rowBytes = ValueBytes / Outputs;
        foreach (Piece piece in _pieces)
        {
            using ScaleRows scales = new(piece, Format, expert, Inputs, isWhole ? piece.Factor(expert) : 1);
            for (int i = 0; i < piece.Count; i++)
            {
                int output = piece.Start + (i * piece.Step);
                byte* stored = (byte*)values.Address + (output * rowBytes);
                DecodeRow(stored, (float*)row.Address, scales.Of(i));
                take(output, (float*)row.Address);
            }
        }
    }

    private void DecodeRow(byte* stored, float* row, ReadOnlySpan<float> scales)
    {
        switch (Format)
        {
            case MoeWeightFormat.BFloat16:
                for (int i = 0; i < Inputs; i++)
                {
                    row[i] = MoeBFloat16.ToSingle(((ushort*)stored)[i]);
                }

                break;
            case MoeWeightFormat.Float16:
                for (int i = 0; i < Inputs; i++)
                {
                    row[i] = (float)((Half*)stored)[i];
                }

                break;
            case MoeWeightFormat.Float32:
                new ReadOnlySpan<float>(stored, Inputs).CopyTo(new Span<float>(row, Inputs));
                break;
            case MoeWeightFormat.Fp8Block:
                for (int i = 0; i < Inputs; i++)
                {
                    row[i] = E4M3[stored[i]] * scales[i];
                }

                break;
            default:
                for (int i = 0; i < Inputs; i += 2)
                {
                    // The low nibble is the earlier input.
                    byte pair = stored[i / 2];
                    row[i] = Fp4[pair & 0xF] * scales[i];
                    row[i + 1] = Fp4[pair >> 4] * scales[i + 1];
                }

                break;
        }
    }

    private static float DecodeE4M3(byte bits)
    {
        int exponent = (bits >> 3) & 0xF, mantissa = bits & 7;
        float magnitude = (bits & 0x7F) == 0x7F ? float.NaN
            : exponent == 0 ? mantissa / 512f
            : (float)Math.ScaleB(1 + (mantissa / 8.0), exponent - 7);
        return (bits & 0x80) != 0 ? -magnitude : magnitude;
    }

    /// <summary>A stored matrix's outputs from <paramref name="First"/> on, which become every <paramref name="Step"/>-th output from <paramref name="Start"/> on.</summary>
    private readonly record struct Piece(MoeExpertMatrix Matrix, int First, int Count, int Start, int Step)
    {
        /// <summary>Biases and scales are read a whole row or plane at a time and then picked from, which no read of the tensor's checks.</summary>
        public void CheckBiasAndScales(MoeWeightFormat format, int inputs)
        {
            int outputs = First + Count;
            if (Matrix.Bias is { } bias && bias.Columns < outputs)
            {
                throw new ArgumentException($"The matrix has {bias.Columns} biases an expert; {outputs} are expected.");
            }

            int rows = ScaleRow(format, outputs - 1) + 1, columns = ((inputs - 1 + Matrix.ScaleColumnOffset) / Matrix.InputsOfScale(format)) + 1;
            if (Matrix.Scales is { } scales && (scales.Rows < rows || scales.Columns < columns))
            {
                throw new ArgumentException($"The matrix has {scales.Rows} × {scales.Columns} scales an expert; {rows} × {columns} are expected.");
            }
        }

        /// <summary>What all of an expert's weights are multiplied by: its global scale, or 1.</summary>
        public float Factor(int expert)
        {
            float value = 1;
            Matrix.GlobalScales?.Read(0, 0, 1, expert, 1, (nint)(&value));
            return value;
        }

        /// <summary>The row of scales of a stored output.</summary>
        public int ScaleRow(MoeWeightFormat format, int output) => (output + Matrix.ScaleRowOffset) / Matrix.OutputsOfScale(format);

        public void ReadValues(int expert, nint destination, long rowBytes, int inputs)
        {
            nint start = destination + (nint)(Start * rowBytes);
            if (Matrix.Order == MoeMatrixOrder.OutputMajor)
            {
                Matrix.Values.ReadRows(expert, First, Count, start, Step * rowBytes);
                return;
            }

            using var stored = new MoeStoredTensor.Scratch(rowBytes * Count);
            Matrix.Values.Read(expert, 0, inputs, First, Count, stored.Address);
            if (rowBytes / inputs == sizeof(float))
            {
                Transpose<float>(stored.Address, start, inputs, Step * rowBytes);
            }
            else
            {
                Transpose<ushort>(stored.Address, start, inputs, Step * rowBytes);
            }
        }

        // In squares that stay in the first level of cache, both ways.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Transpose<T>(nint source, nint destination, int inputs, long stride)
            where T : unmanaged
        {
            const int square = 32;
            for (int firstInput = 0; firstInput < inputs; firstInput += square)
            {
                int lastInput = Math.Min(inputs, firstInput + square);
                for (int firstOutput = 0; firstOutput < Count; firstOutput += square)
                {
                    int lastOutput = Math.Min(Count, firstOutput + square);
                    for (int output = firstOutput; output < lastOutput; output++)
                    {
                        T* target = (T*)(destination + (nint)(output * stride));
                        for (int input = firstInput; input < lastInput; input++)
                        {
                            target[input] = ((T*)source)[((long)input * Count) + output];
                        }
                    }
                }
            }
        }
    }

    /// <summary>The scale of each input, for one output after the other.</summary>
    private sealed class ScaleRows : IDisposable
    {
        private readonly Piece _piece;
        private readonly MoeWeightFormat _format;
        private readonly MoeStoredTensor.Scratch _stored;
        private readonly float[] _row;
        private readonly float _factor;
        private int _lastRow = -1;

        public ScaleRows(Piece piece, MoeWeightFormat format, int expert, int inputs, float factor)
        {
            _piece = piece;
            _factor = factor;
            _format = format;
            MoeStoredTensor? scales = piece.Matrix.Scales;
            _stored = new MoeStoredTensor.Scratch(scales?.PlaneBytes ?? 0);
            scales?.ReadRows(expert, 0, scales.Rows, _stored.Address);
            _row = scales is null ? [] : new float[inputs];
        }

        public ReadOnlySpan<float> Of(int index)
        {
            if (_row.Length == 0)
            {
                return _row;
            }

            int block = _piece.Matrix.InputsOfScale(_format), row = _piece.ScaleRow(_format, _piece.First + index);
            if (row != _lastRow)
            {
                _lastRow = row;
                for (int i = 0; i < _row.Length; i++)
                {
                    _row[i] = Scale(row, (i + _piece.Matrix.ScaleColumnOffset) / block) * _factor;
                }
            }

            return _row;
        }

        public void Dispose() => _stored.Dispose();

        private float Scale(int row, int column)
        {
            MoeStoredTensor scales = _piece.Matrix.Scales!;
            byte* start = (byte*)_stored.Address + (row * scales.RowBytes);
            return scales.ElementType switch
            {
                MoeElementType.Float32 => ((float*)start)[column],
                MoeElementType.BFloat16 => MoeBFloat16.ToSingle(((ushort*)start)[column]),
                MoeElementType.Float8E4M3 => E4M3[start[column]],
                _ => E8M0[start[column]],
            };
        }
    }
}
