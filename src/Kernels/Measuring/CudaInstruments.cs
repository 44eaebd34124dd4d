using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Measures a CUDA device: graphs and events for layers, large copies, reads and a cuBLAS product for the ceilings.</summary>
public sealed class CudaInstruments : IMoeInstruments
{
    private const long BufferBytes = 1L << 31;
    private const int MatrixSize = 8192;
    private const int Repetitions = 15;
    private const int FillThreads = 256;
    private const int ReadThreads = 512;
    private const int MultiplyThreads = 256;
    private const int MultiplyRounds = 8192;

    /// <summary>Operations of a block of <c>moe_multiply</c> in a round.</summary>
    private const double RoundOperations = 1 << 22;

    /// <summary>In this state clocks are far below the ordinary ones, and figures mean nothing.</summary>
    private const CudaClockLimits Unfit =
        CudaClockLimits.HardwareSlowdown | CudaClockLimits.SoftwareThermal | CudaClockLimits.HardwareThermal | CudaClockLimits.PowerBrake;

    private readonly KernelLibrary _library;

    /// <summary>Makes the instruments of the library's device; the library must outlive them.</summary>
    public CudaInstruments(KernelLibrary library)
    {
        ArgumentNullException.ThrowIfNull(library);
        _library = library;
    }

    /// <summary>The source of the kernels that measuring takes.</summary>
    public static KernelUnit Unit { get; } = new("ceilings.cu");

    private CudaContext Context => _library.Context;

    /// <inheritdoc/>
    public MoeDeviceCondition ReadCondition()
    {
        CudaClockLimits limits = CudaManagement.ReadClockLimits(Context.Device) ?? CudaClockLimits.None;
        CudaClockLimits told = limits & ~CudaClockLimits.Idle;
        return new MoeDeviceCondition
        {
            Name = Context.Device.Name,
            Driver = CudaManagement.DriverVersion,
            Throttle = told == CudaClockLimits.None ? null : told.ToString(),
            IsUnfitForMeasuring = (limits & Unfit) != 0,
        };
    }

    /// <inheritdoc/>
    public IMoeRecording Record(Action<nint> enqueue)
    {
        ArgumentNullException.ThrowIfNull(enqueue);
        return new CudaRecording(Context, enqueue);
    }

    /// <inheritdoc/>
    public MoeCeilings MeasureCeilings(CancellationToken cancellationToken = default)
    {
        using CudaContextScope scope = Context.MakeCurrent();
        using var memory = new DeviceArena(Context);
        nint source = memory.Allocate(BufferBytes);
        nint target = memory.Allocate(BufferBytes);
        Fill(source);
        cancellationToken.ThrowIfCancellationRequested();
        double copy = 2 * BufferBytes / Median(stream => CudaMemory.Copy(target, source, BufferBytes, stream)) / 1e3;
        cancellationToken.ThrowIfCancellationRequested();
        double read = BufferBytes / Median(stream => Read(source, target, stream)) / 1e3;
        cancellationToken.ThrowIfCancellationRequested();
        (double matrix, string matrixSource) = MatrixRate(source, target);
        cancellationToken.ThrowIfCancellationRequested();
        (double fp8, string? fp8Source) = Context.Device.Architecture.HasWgmma ? Fp8Rate(source, target) : (double.NaN, null);
        return new MoeCeilings
        {
            CopyGigabytesPerSecond = copy,
            ReadGigabytesPerSecond = read,
            MatrixTeraflops = matrix,
            MatrixSource = matrixSource,
            Fp8Teraflops = fp8,
            Fp8Source = fp8Source,
        };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // Context and kernels are the backend's.
    }

    private void Fill(nint target)
    {
        var parameters = new FillParameters { Target = target, Count = BufferBytes / sizeof(uint) };
        _library.Get(Unit, "moe_fill").Launch(
            new CudaLaunchConfig(Context.Device.MultiprocessorCount * 8, FillThreads), 0, in parameters);
        Context.UseStream(0).Synchronize();
    }

    private void Read(nint source, nint sink, nint stream)
    {
        var parameters = new ReadParameters { Source = source, Sink = sink, Count = BufferBytes / 16 };
        _library.Get(Unit, "moe_read").Launch(
            new CudaLaunchConfig(Context.Device.MultiprocessorCount * 4, ReadThreads), stream, in parameters);
    }

    private (double Teraflops, string Source) MatrixRate(nint source, nint target)
    {
        using CudaBlas? blas = CudaBlas.TryCreate();
        if (blas is null)
        {
            return (OwnRate("moe_multiply", 1, source, target), "own kernel, as cuBLAS was not found: BF16 products of operands on chip");
        }

        const long matrixBytes = (long)MatrixSize * MatrixSize * sizeof(ushort);
        double microseconds = Median(stream => blas.MultiplyBFloat16(
            MatrixSize, source, checked((nint)(source + matrixBytes)), target, stream));
        return (2.0 * MatrixSize * MatrixSize * MatrixSize / microseconds / 1e6, $"cuBLAS {blas.Version}, BF16, {MatrixSize} cubed");
    }

    private (double Teraflops, string Source) Fp8Rate(nint source, nint target)
    {
        using CudaBlasLt? blas = CudaBlasLt.TryCreate(MatrixSize);
        const long matrixBytes = (long)MatrixSize * MatrixSize;
        nint second = checked((nint)(source + matrixBytes));
        if (blas is null || !blas.TryMultiplyE4M3(source, second, target, 0))
        {
            return (OwnRate("moe_multiply_e4m3", 2, source, target), "own kernel, as cuBLASLt was not found or has none: E4M3 products of operands on chip");
        }

        double microseconds = Median(stream => _ = blas.TryMultiplyE4M3(source, second, target, stream));
        return (2.0 * MatrixSize * MatrixSize * MatrixSize / microseconds / 1e6, $"cuBLASLt {CudaBlasLt.Version}, E4M3, {MatrixSize} cubed");
    }

    /// <param name="entry">The kernel.</param>
    /// <param name="times">How many times as many operations as <c>moe_multiply</c> it does.</param>
    /// <param name="source">Operands.</param>
    /// <param name="sink">Where nothing is written.</param>
    private double OwnRate(string entry, int times, nint source, nint sink)
    {
        int blocks = Context.Device.MultiprocessorCount * 2;
        var parameters = new MultiplyParameters { Source = source, Sink = sink, Rounds = MultiplyRounds };
        CudaFunction multiply = _library.Get(Unit, entry);
        double microseconds = Median(stream => multiply.Launch(new CudaLaunchConfig(blocks, MultiplyThreads), stream, in parameters));
        return times * RoundOperations * MultiplyRounds * blocks / microseconds / 1e6;
    }

    /// <summary>Median of the microseconds that some work takes, after a warm-up.</summary>
    private double Median(Action<nint> enqueue)
    {
        using CudaStream stream = Context.CreateStream();
        using CudaEvent start = Context.CreateEvent();
        using CudaEvent end = Context.CreateEvent();
        double[] times = new double[Repetitions];
        for (int i = -3; i < Repetitions; i++)
        {
            start.Record(stream);
            enqueue(stream);
            end.Record(stream);
            end.Synchronize();
            if (i >= 0)
            {
                times[i] = end.MillisecondsSince(start) * 1000.0;
            }
        }

        Array.Sort(times);
        return times[Repetitions / 2];
    }

    // As in ceilings.cu.
    [StructLayout(LayoutKind.Sequential)]
    private struct FillParameters
    {
        public nint Target;
        public long Count;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct ReadParameters
    {
        public nint Source;
        public nint Sink;
        public long Count;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct MultiplyParameters
    {
        public nint Source;
        public nint Sink;
        public int Rounds;
    }
}
