using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Cuts a matrix of all experts into pieces for <see cref="WeightLanes"/>: one for each expert, its biases behind its weights.</summary>
public static class ExpertPieces
{
    /// <summary>What copies on the device are aligned to.</summary>
    private const long Alignment = 16;

    /// <summary>Makes room for the biases of all experts, a neuron's gate before its up.</summary>
    /// <param name="target">Who allocates.</param>
    /// <param name="reader">The matrix.</param>
    /// <param name="experts">Experts.</param>
    /// <returns>The address of float32 [experts, outputs]; 0 where the matrix has none.</returns>
    /// <exception cref="MoeException">The device has not that much memory left.</exception>
    public static nint AllocateBias(DeviceArena target, MoeExpertReader reader, int experts)
    {
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(reader);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(experts);
        return reader.HasBias ? target.Allocate((long)experts * reader.Outputs * sizeof(float)) : 0;
    }

    /// <summary>Pieces of an MXFP4 matrix: codes and, behind them, scales.</summary>
    /// <param name="reader">The matrix.</param>
    /// <param name="experts">Experts.</param>
    /// <param name="bias">Where float32 [experts, outputs] go, on the device; 0 for none.</param>
    /// <param name="use">Enqueues what an expert's codes and scales, at device addresses, become on a stream.</param>
    public static IEnumerable<WeightPiece> Mxfp4(MoeExpertReader reader, int experts, nint bias, Action<int, nint, nint, nint> use)
    {
        ArgumentNullException.ThrowIfNull(reader);
        ArgumentNullException.ThrowIfNull(use);
        var codeBytes = (nint)reader.ValueBytes;
        return Of(
            reader,
            experts,
            bias,
            reader.ValueBytes + reader.ScaleBytes,
            (expert, host) =>
            {
                reader.ReadValues(expert, host);
                reader.ReadScales(expert, host + codeBytes);
            },
            (expert, device, stream) => use(expert, device, device + codeBytes, stream));
    }

    /// <summary>Pieces of a matrix that is read in any other way.</summary>
    /// <param name="reader">The matrix.</param>
    /// <param name="experts">Experts.</param>
    /// <param name="bias">Where float32 [experts, outputs] go, on the device; 0 for none.</param>
    /// <param name="byteCount">Bytes that <paramref name="read"/> writes.</param>
    /// <param name="read">Reads an expert to an address of the host's.</param>
    /// <param name="use">Enqueues what an expert's bytes, at a device address, become on a stream.</param>
    public static IEnumerable<WeightPiece> Of(
        MoeExpertReader reader, int experts, nint bias, long byteCount, Action<int, nint> read, Action<int, nint, nint> use)
    {
        ArgumentNullException.ThrowIfNull(reader);
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(use);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(experts);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(byteCount);
        var biasStart = (nint)((byteCount + Alignment - 1) / Alignment * Alignment);
        long biasBytes = bias == 0 ? 0 : (long)reader.Outputs * sizeof(float);
        return Enumerable.Range(0, experts).Select(expert => new WeightPiece(biasStart + biasBytes, Read(expert), Use(expert)));

        Action<nint> Read(int expert) => host =>
        {
            read(expert, host);
            if (biasBytes > 0)
            {
                reader.ReadBias(expert, host + biasStart);
            }
        };

        Action<nint, nint> Use(int expert) => (device, stream) =>
        {
            use(expert, device, stream);
            CudaMemory.Copy(bias + (nint)(expert * biasBytes), device + biasStart, biasBytes, stream);
        };
    }
}
