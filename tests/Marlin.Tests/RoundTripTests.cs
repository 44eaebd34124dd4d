using Moe.Plugins.Conformance;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Marlin.Tests;

public sealed unsafe class RoundTripTests
{
    [Theory]
    [InlineData(288, 352, 0)]
    [InlineData(64, 32, 0)]
    [InlineData(2880, 2880, 0)]
    [InlineData(96, 160, 40)]
    public void Repacked_weights_unpack_to_the_checkpoints_bits(int hidden, int intermediate, int scaleOffset)
    {
        Marlin.Host.RequireDevice();
        MoeLayerShape shape = new() { HiddenSize = hidden, IntermediateSize = intermediate, ExpertCount = 3, TopK = 2 };
        using var weights = new RandomLayer(shape, seed: 4);
        foreach (MoeTensorView scales in new[] { weights.Tensors.GateUp.Scales, weights.Tensors.Down.Scales })
        {
            foreach (ref byte scale in new Span<byte>((void*)scales.Address, 3 * scales.Rows * scales.Columns))
            {
                scale += (byte)scaleOffset;
            }
        }

        using CudaContext context = CudaContext.RetainPrimary(CudaDevice.Get(0));
        using var library = new KernelLibrary(context, new KernelCompiler(new KernelCompilerOptions()), typeof(Mxfp4Weights).Assembly);
        using Mxfp4Weights packed = Mxfp4Weights.Load(library, shape, weights.Source, null, TestContext.Current.CancellationToken);
        using CudaContextScope scope = context.MakeCurrent();
        AssertSame(packed.GateUp, weights.Tensors.GateUp, shape.ExpertCount);
        AssertSame(packed.Down, weights.Tensors.Down, shape.ExpertCount);
    }

    private static void AssertSame(Mxfp4Matrix packed, RandomMatrix source, int experts)
    {
        byte[] groups = new byte[Mxfp4Layout.ExpertBytes(packed.Rows, packed.Depth)];
        float[] factors = new float[packed.Rows];
        byte[] codes = new byte[packed.Rows * packed.Depth / 2];
        byte[] scales = new byte[packed.Rows * packed.Depth / 32];
        for (int expert = 0; expert < experts; expert++)
        {
            CudaMemory.Download<byte>(groups, packed.Expert(expert));
            CudaMemory.Download<float>(factors, packed.ExpertFactors(expert));
            Mxfp4Layout.Unpack(groups, factors, codes, scales, packed.Rows, packed.Depth, packed.IsGateUp);

            Assert.True(new ReadOnlySpan<byte>((void*)source.Values.RowAddress(0, expert), codes.Length).SequenceEqual(codes), $"codes of expert {expert}");
            Assert.True(new ReadOnlySpan<byte>((void*)source.Scales.RowAddress(0, expert), scales.Length).SequenceEqual(scales), $"scales of expert {expert}");
        }
    }
}
