using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>The quantiser against copies of as many bytes, recorded and timed alike in the same minute, over buffers that no cache holds.</summary>
public sealed class QuantizerBandwidthTests(ITestOutputHelper output)
{
    private const int Hidden = 2880;
    private const int Padded = 3072;
    private const double LeastShare = 0.85;

    [Theory]
    [InlineData(1024)]
    [InlineData(4096)]
    [InlineData(8192)]
    public void It_runs_at_the_speed_of_a_copy(int tokens)
    {
        Sm100.Host.RequireDevice();
        using CudaContext context = CudaContext.RetainPrimary(CudaDevice.Get(0));
        using var library = new KernelLibrary(context, new KernelCompiler(new KernelCompilerOptions()), typeof(Mxfp8Quantizer).Assembly);
        using CudaContextScope scope = context.MakeCurrent();
        var instruments = new CudaInstruments(library);
        Assert.SkipWhen(instruments.ReadCondition().IsUnfitForMeasuring, "the device is held back");
        var quantizer = new Mxfp8Quantizer(library);
        long inputBytes = (long)tokens * Hidden * sizeof(ushort);
        long bytes = inputBytes + ((long)tokens * Padded) + Mxfp8Layout.ScaleBytes(tokens, Padded, Mxfp8ScaleOrder.Linear);
        int copies = (int)((1L << 30) / bytes);
        using var memory = new DeviceArena(context);
        nint inputs = memory.Allocate(inputBytes * copies);
        nint codes = memory.Allocate((long)tokens * Padded * copies);
        nint target = memory.Allocate(bytes / 2 * copies);
        nint scales = memory.Allocate(Mxfp8Layout.ScaleBytes(tokens * copies, Padded, Mxfp8ScaleOrder.Linear));

        double own = Time(stream =>
        {
            for (int i = 0; i < copies; i++)
            {
                quantizer.Enqueue(
                    new MoeTensorView(At(inputs, i * inputBytes), MoeDevice.Cuda(0), MoeElementType.BFloat16, tokens, Hidden),
                    At(codes, (long)i * tokens * Padded),
                    At(scales, i * Mxfp8Layout.ScaleBytes(tokens, Padded, Mxfp8ScaleOrder.Linear)),
                    Padded,
                    stream: stream);
            }
        });
        double copy = Time(stream =>
        {
            for (int i = 0; i < copies; i++)
            {
                CudaMemory.Copy(At(target, i * (bytes / 2)), At(inputs, i * inputBytes), bytes / 2, stream);
            }
        });
        double large = instruments.MeasureCeilings(TestContext.Current.CancellationToken).CopyGigabytesPerSecond;
        output.WriteLine(
            $"{tokens} tokens: {own:f2} µs, a copy of as many bytes {copy:f2} µs; {bytes / own / 1e3:f0} GB/s, {bytes / own / 1e3 / large:p1} of a large copy's {large:f0}");
        Assert.True(own * LeastShare <= copy, $"{tokens} tokens take {own:f2} µs, a copy of as many bytes {copy:f2}: at least {LeastShare:p0} of its speed is expected.");

        double Time(Action<nint> enqueue)
        {
            using IMoeRecording recording = instruments.Record(enqueue);
            return Enumerable.Range(0, 10).Min(_ => recording.Replay()) / copies;
        }
    }

    private static nint At(nint array, long offset) => checked((nint)(array + offset));
}
