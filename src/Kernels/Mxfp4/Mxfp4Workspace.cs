using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The device buffers of one stream's forwards through <see cref="Mxfp4Experts"/>.</summary>
public class Mxfp4Workspace : CudaWorkspace
{
    /// <summary>Allocates.</summary>
    /// <param name="context">The context.</param>
    /// <param name="config">The layer's config.</param>
    public Mxfp4Workspace(CudaContext context, MoeLayerConfig config)
        : base(context, config)
    {
        MoeLayerShape shape = config.Shape;
        Act = Allocate((long)MaxPairs * shape.IntermediateSize * sizeof(ushort));
        PartialResults = Allocate(Mxfp4GroupedKernels.MaxPartialRows(MaxPairs) * shape.HiddenSize * sizeof(ushort));
        if (context.Device.Architecture.HasWgmma)
        {
            using CudaContextScope scope = context.MakeCurrent();
            Ticket = Allocate(sizeof(float));
            CudaMemory.Fill(Ticket, 0, sizeof(float), 0);
            long bytes = (long)Math.Min(config.MaxTokens, Mxfp4StreamKernels.MaxTokens) * shape.TopK * Mxfp4StreamKernels.ActColumns(shape) * sizeof(ushort);
            StreamAct = Allocate(bytes);
            CudaMemory.Fill(StreamAct, 0, bytes, 0);
            context.UseStream(0).Synchronize();
            GatheredRows = Allocate((long)MaxPairs * shape.HiddenSize * sizeof(ushort));
            Gathered = new RowMaps(GatheredRows, shape.HiddenSize, MaxPairs);
            ActRows = new RowMaps(Act, shape.IntermediateSize, MaxPairs);
        }
    }

    /// <summary>[parts, pairs, hidden] BF16.</summary>
    public override nint PartialResults { get; }

    /// <summary>[sorted pairs, intermediate] BF16.</summary>
    public nint Act { get; }

    /// <summary>
    /// [sorted pairs, hidden] BF16, or 0 where no kernel reads such. Not the partial results' memory, which the second product writes while the first still
    /// reads this.
    /// </summary>
    public nint GatheredRows { get; }

    /// <summary>
    /// [sorted pairs of few tokens, <see cref="Mxfp4StreamKernels.ActColumns"/>] BF16: the same of <c>mxfp4_stream.cuh</c>, 0 beyond the intermediate size,
    /// where nobody writes.
    /// </summary>
    internal nint StreamAct { get; }

    /// <summary>[1] float32: tiles of <c>mxfp4_stream.cuh</c> that blocks have drawn. Launches find 0 here and leave it behind.</summary>
    internal nint Ticket { get; }

    internal RowMaps Gathered { get; }

    internal RowMaps ActRows { get; }

    /// <summary>How TMA finds BF16 rows: 64 columns, swizzled, of many rows or of few.</summary>
    internal readonly struct RowMaps(nint address, int columns, int rows)
    {
        private const int WideBox = 64;
        private const int NarrowBox = 8;

        /// <summary>64 rows a box.</summary>
        public CudaTensorMap Wide { get; } = Map(address, columns, rows, WideBox);

        /// <summary>8 rows a box.</summary>
        public CudaTensorMap Narrow { get; } = Map(address, columns, rows, NarrowBox);

        private static CudaTensorMap Map(nint address, int columns, int rows, uint box) => CudaTensorMap.Tiled(
            CudaTensorMapDataType.BFloat16,
            address,
            [(ulong)columns, (ulong)rows],
            [(ulong)columns * sizeof(ushort)],
            [Mxfp4Layout.GroupDepth, box],
            CudaTensorMapSwizzle.Swizzle128B);
    }
}
