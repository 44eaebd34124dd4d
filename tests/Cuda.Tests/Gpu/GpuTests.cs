using System.Runtime.CompilerServices;
using Moe.Plugins.Cuda;

namespace Cuda.Tests;

public sealed unsafe class GpuTests
{
    private static readonly float[] Ramp = [.. Enumerable.Range(0, 1000).Select(i => (float)i)];

    [Fact]
    public void The_device_tells_what_it_is()
    {
        using CudaContext context = Require.Gpu();
        CudaDevice device = context.Device;
        TestContext.Current.SendDiagnosticMessage(
            "{0}, {1}, driver {2}, NVRTC {3}", device.Name, device.Architecture, CudaDriver.Version, Nvrtc.GetVersion());
        Assert.NotEmpty(device.Name);
        Assert.InRange(device.MultiprocessorCount, 1, 1000);
        Assert.InRange(device.MaxSharedBytesPerBlock, 48 * 1024, device.MaxSharedBytesPerMultiprocessor);
        Assert.InRange(context.GetFreeMemory(), 1, device.MemoryBytes);
        Assert.True(device.L2CacheBytes > 0 && device.ClockKilohertz > 0 && device.MemoryBusBits > 0);
        Assert.Matches("^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}[.]0$", device.PciAddress);
        Assert.True(CudaDriver.Version >= CudaDriver.MinimumVersion);
    }

    [Fact]
    public void A_device_that_does_not_exist_is_named()
    {
        using CudaContext context = Require.Gpu();
        CudaException exception = Assert.Throws<CudaException>(() => CudaDevice.Get(1000));
        Assert.Equal("CUDA_ERROR_INVALID_DEVICE", exception.ErrorName);
        Assert.Contains("Device 1000", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Memory_that_is_not_there_is_an_error_that_says_how_much_is()
    {
        using CudaContext context = Require.Gpu();
        CudaException exception = Assert.Throws<CudaException>(() => context.Allocate(1L << 45));
        Assert.Equal("CUDA_ERROR_OUT_OF_MEMORY", exception.ErrorName);
        Assert.Contains("35,184,372,088,832 bytes", exception.Message, StringComparison.Ordinal);
        Assert.Contains("bytes are free", exception.Message, StringComparison.Ordinal);
        Assert.False(exception.IsContextLost);
    }

    [Fact]
    public void What_goes_up_comes_down()
    {
        using CudaContext context = Require.Gpu();
        using CudaContextScope scope = context.MakeCurrent();
        using CudaStream stream = context.CreateStream();
        using CudaDeviceMemory memory = context.Allocate(4000);
        using CudaHostMemory pinned = context.AllocateHost(4000);
        CudaMemory.Upload<float>(memory.Handle, Ramp);
        CudaMemory.Copy(pinned.Handle, memory.Handle, 4000, stream);
        stream.Synchronize();
        Assert.Equal(Ramp, pinned.AsSpan<float>().ToArray());

        CudaMemory.Fill(memory.Handle, 0, 2000, stream);
        stream.Synchronize();
        float[] back = new float[1000];
        CudaMemory.Download<float>(back, memory.Handle);
        Assert.All(back[..500], value => Assert.Equal(0, value));
        Assert.Equal(Ramp[500..], back[500..]);
    }

    [Fact]
    public void Rows_with_strides_go_up_across_and_down()
    {
        using CudaContext context = Require.Gpu();
        using CudaContextScope scope = context.MakeCurrent();
        using CudaStream stream = context.CreateStream();
        using CudaDeviceMemory wide = context.Allocate(10 * 128);
        using CudaDeviceMemory dense = context.Allocate(10 * 100);
        byte[] rows = [.. Enumerable.Range(0, 10 * 100).Select(i => (byte)(i % 251))];
        byte[] back = new byte[10 * 128];
        fixed (byte* rowsPointer = rows, backPointer = back)
        {
            // Pageable host memory, device to device, and back.
            CudaMemory.Fill(wide.Handle, 0xee, wide.ByteCount, stream);
            CudaMemory.Copy2D(dense.Handle, 100, (nint)rowsPointer, 100, 100, 10, stream);
            CudaMemory.Copy2D(wide.Handle, 128, dense.Handle, 100, 100, 10, stream);
            CudaMemory.Fill2D(wide.Handle + 120, 128, 0, 8, 10, stream);
            CudaMemory.Copy2D((nint)backPointer, 128, wide.Handle, 128, 128, 10, stream);
            stream.Synchronize();
        }

        for (int row = 0; row < 10; row++)
        {
            Assert.Equal(rows.AsSpan(row * 100, 100), back.AsSpan(row * 128, 100));
            Assert.Equal(Enumerable.Repeat((byte)0xee, 20).Concat(new byte[8]), back[((row * 128) + 100)..((row + 1) * 128)]);
        }
    }

    [Fact]
    public void Memory_allocated_in_stream_order_works()
    {
        using CudaContext context = Require.Gpu();
        using CudaContextScope scope = context.MakeCurrent();
        using CudaStream stream = context.CreateStream();
        nint memory = CudaMemory.AllocateAsync(4000, stream);
        CudaMemory.Fill(memory, 7, 4000, stream);
        stream.Synchronize();
        byte[] back = new byte[4000];
        CudaMemory.Download<byte>(back, memory);
        CudaMemory.FreeAsync(memory, stream);
        stream.Synchronize();
        Assert.All(back, value => Assert.Equal(7, value));
    }

    [Fact]
    public void A_kernel_gets_its_struct_and_a_launch_allocates_nothing()
    {
        using CudaContext context = Require.Gpu();
        using CudaContextScope scope = context.MakeCurrent();
        using CudaStream stream = context.CreateStream();
        using CudaModule module = TestKernels.Load(context, "basic.cu");
        using CudaDeviceMemory memory = context.Allocate(8000);
        CudaFunction scale = module.GetFunction("scale");
        Assert.True(scale.Registers > 0 && scale.MaxThreadsPerBlock >= 256);
        Assert.True(scale.ParameterBytes is null or 24);

        CudaMemory.Upload<float>(memory.Handle, Ramp);
        ScaleParameters parameters = new() { Input = memory.Handle, Output = memory.Handle + 4000, Factor = 2, Count = 1000 };
        CudaLaunchConfig config = new(4, 256);
        scale.Launch(config, stream, in parameters);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            scale.Launch(config, stream, in parameters);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        stream.Synchronize();
        float[] back = new float[1000];
        CudaMemory.Download<float>(back, memory.Handle + 4000);
        Assert.Equal(Ramp.Select(value => 2 * value), back);
    }

    [Fact]
    public void A_struct_of_another_size_is_refused()
    {
        using CudaContext context = Require.Gpu();
        using CudaContextScope scope = context.MakeCurrent();
        using CudaModule module = TestKernels.Load(context, "basic.cu");
        CudaFunction scale = module.GetFunction("scale");
        Assert.SkipWhen(scale.ParameterBytes is null, "The driver is too old to tell a parameter's size.");
        long wrong = 0;
        ArgumentException exception = Assert.Throws<ArgumentException>(() => scale.Launch(new CudaLaunchConfig(1, 1), 0, in wrong));
        Assert.Contains("24 bytes", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_template_instance_is_found_by_its_lowered_name()
    {
        using CudaContext context = Require.Gpu();
        using CudaContextScope scope = context.MakeCurrent();
        KernelImage image = TestKernels.Compile(
            "basic.cu", context.Device.Architecture, new KernelCompileOptions { NameExpressions = ["reverse<64>"] });
        using CudaModule module = context.LoadModule(image.Cubin.Span);
        using CudaDeviceMemory memory = context.Allocate(256);
        uint[] values = [.. Enumerable.Range(0, 64).Select(i => (uint)i)];
        CudaMemory.Upload<uint>(memory.Handle, values);
        CudaFunction reverse = module.GetFunction(image.GetLoweredName("reverse<64>"));
        nint address = memory.Handle;
        reverse.Launch(new CudaLaunchConfig(1, 64), 0, in address);
        uint[] back = new uint[64];
        CudaMemory.Download<uint>(back, memory.Handle);
        Assert.Equal(values.Reverse(), back);
        Assert.Equal(image.Reports.Single(report => report.Name == reverse.Name).Registers, reverse.Registers);
        Assert.True(reverse.GetMaxBlocksPerMultiprocessor(64, 0) > 0);
    }

    [Fact]
    public void A_kernel_that_does_not_exist_and_an_image_of_nonsense_are_named()
    {
        using CudaContext context = Require.Gpu();
        using CudaModule module = TestKernels.Load(context, "basic.cu");
        CudaException absent = Assert.Throws<CudaException>(() => module.GetFunction("absent"));
        Assert.Equal("CUDA_ERROR_NOT_FOUND", absent.ErrorName);
        Assert.Contains("'absent'", absent.Message, StringComparison.Ordinal);
        CudaException nonsense = Assert.Throws<CudaException>(() => context.LoadModule("nonsense\0"u8));
        Assert.Equal("cuModuleLoadData", nonsense.Call);
    }

    [Fact]
    public void Too_much_shared_memory_is_refused_with_the_limit()
    {
        using CudaContext context = Require.Gpu();
        using CudaModule module = TestKernels.Load(context, "basic.cu");
        CudaFunction scale = module.GetFunction("scale");
        scale.SetMaxDynamicSharedBytes(context.Device.MaxSharedBytesPerBlock);
        int limit = context.Device.MaxSharedBytesPerBlock;
        CudaException exception = Assert.Throws<CudaException>(() => scale.SetMaxDynamicSharedBytes(limit + 1));
        Assert.Contains($"at most {limit}", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_graph_replays_on_what_its_addresses_hold_by_then()
    {
        using CudaContext context = Require.Gpu();
        using CudaContextScope scope = context.MakeCurrent();
        using CudaStream stream = context.CreateStream();
        using CudaModule module = TestKernels.Load(context, "basic.cu");
        using CudaDeviceMemory memory = context.Allocate(12000);
        CudaFunction scale = module.GetFunction("scale");
        nint input = memory.Handle;
        using CudaGraph graph = stream.Capture(() =>
        {
            Assert.True(stream.IsCapturing);
            CudaMemory.Fill(input + 4000, 0xff, 8000, stream);
            ScaleParameters first = new() { Input = input, Output = input + 4000, Factor = 2, Count = 1000 };
            scale.Launch(new CudaLaunchConfig(4, 256), stream, in first);
            ScaleParameters second = new() { Input = input + 4000, Output = input + 8000, Factor = 3, Count = 1000 };
            scale.Launch(new CudaLaunchConfig(4, 256), stream, in second);
        });
        Assert.False(stream.IsCapturing);
        Assert.Equal(3, graph.NodeCount);
        Assert.Equal(2, graph.KernelNodeCount);
        using CudaExecutableGraph executable = graph.Instantiate();
        foreach (float offset in (float[])[0, 100, -7])
        {
            float[] values = [.. Ramp.Select(value => value + offset)];
            CudaMemory.Upload<float>(input, values);
            executable.Launch(stream);
            stream.Synchronize();
            float[] back = new float[1000];
            CudaMemory.Download<float>(back, input + 8000);
            Assert.Equal(values.Select(value => 3 * (2 * value)), back);
        }
    }

    [Fact]
    public void A_capture_that_fails_leaves_the_stream_usable()
    {
        using CudaContext context = Require.Gpu();
        using CudaStream stream = context.CreateStream();
        Assert.Throws<InvalidOperationException>(() => stream.Capture(() => throw new InvalidOperationException()));
        Assert.False(stream.IsCapturing);
        stream.Synchronize();
    }

    [Fact]
    public void Events_tell_the_time_between_them()
    {
        using CudaContext context = Require.Gpu();
        using CudaContextScope scope = context.MakeCurrent();
        using CudaStream stream = context.CreateStream();
        using CudaModule module = TestKernels.Load(context, "basic.cu");
        using CudaDeviceMemory memory = context.Allocate(128);
        using CudaEvent start = context.CreateEvent();
        using CudaEvent end = context.CreateEvent();
        start.Record(stream);
        DelayedFill(module, memory.Handle, 1, (ulong)context.Device.ClockKilohertz * 5, stream);
        end.Record(stream);
        end.Synchronize();
        Assert.True(end.IsComplete && stream.IsComplete);
        // 5 ms at the peak clock, longer below it.
        Assert.InRange(end.MillisecondsSince(start), 4.5f, 500f);
    }

    [Fact]
    public void A_stream_waits_for_another_streams_event()
    {
        using CudaContext context = Require.Gpu();
        using CudaContextScope scope = context.MakeCurrent();
        using CudaStream slow = context.CreateStream();
        using CudaStream fast = context.CreateStream();
        using CudaModule module = TestKernels.Load(context, "basic.cu");
        using CudaDeviceMemory memory = context.Allocate(128);
        using CudaEvent done = context.CreateEvent(timing: false);
        DelayedFill(module, memory.Handle, 1, 20_000_000, slow);
        done.Record(slow);
        fast.WaitFor(done);
        DelayedFill(module, memory.Handle, 2, 0, fast);
        fast.Synchronize();
        uint[] back = new uint[32];
        CudaMemory.Download<uint>(back, memory.Handle);
        Assert.All(back, value => Assert.Equal(2u, value));
    }

    [Fact]
    public void Clusters_are_launched()
    {
        using CudaContext context = Require.Gpu(90);
        using CudaContextScope scope = context.MakeCurrent();
        using CudaModule module = TestKernels.Load(context, "hopper.cu");
        using CudaDeviceMemory memory = context.Allocate(32);
        nint address = memory.Handle;
        module.GetFunction("cluster_ranks").Launch(new CudaLaunchConfig(8, 32) { Cluster = 4 }, 0, in address);
        uint[] back = new uint[8];
        CudaMemory.Download<uint>(back, address);
        Assert.Equal([400u, 401u, 402u, 403u, 400u, 401u, 402u, 403u], back);
    }

    [Fact]
    public void A_dependent_launch_waits_inside_the_kernel_also_in_a_graph()
    {
        using CudaContext context = Require.Gpu(90);
        using CudaContextScope scope = context.MakeCurrent();
        using CudaStream stream = context.CreateStream();
        using CudaModule module = TestKernels.Load(context, "hopper.cu");
        using CudaDeviceMemory memory = context.Allocate(4);
        CudaFunction first = module.GetFunction("pdl_first");
        CudaFunction second = module.GetFunction("pdl_second");
        nint address = memory.Handle;
        void Enqueue()
        {
            CudaMemory.Fill(address, 0, 4, stream);
            first.Launch(new CudaLaunchConfig(1, 1), stream, in address);
            second.Launch(new CudaLaunchConfig(1, 1) { ProgrammaticStreamSerialization = true }, stream, in address);
        }

        uint[] back = new uint[1];
        Enqueue();
        stream.Synchronize();
        CudaMemory.Download<uint>(back, address);
        Assert.Equal(42u, back[0]);

        using CudaGraph graph = stream.Capture(Enqueue);
        Assert.Equal(2, graph.KernelNodeCount);
        using CudaExecutableGraph executable = graph.Instantiate();
        CudaMemory.Upload<uint>(address, [0]);
        executable.Launch(stream);
        stream.Synchronize();
        CudaMemory.Download<uint>(back, address);
        Assert.Equal(42u, back[0]);
    }

    [Fact]
    public void A_tensor_map_fetches_a_box_and_reads_zeros_beyond_the_tensor()
    {
        using CudaContext context = Require.Gpu(90);
        using CudaContextScope scope = context.MakeCurrent();
        using CudaModule module = TestKernels.Load(context, "hopper.cu");
        using CudaDeviceMemory memory = context.Allocate(64 * 20 * 4);
        using CudaDeviceMemory output = context.Allocate(128);
        // 10 rows of 20 elements, of which 18 belong to the tensor.
        CudaMemory.Upload<uint>(memory.Handle, [.. Enumerable.Range(1, 64 * 20).Select(i => (uint)i)]);
        BoxParameters parameters = new()
        {
            Map = CudaTensorMap.Tiled(CudaTensorMapDataType.UInt32, memory.Handle, [18, 10], [80], [8, 4]),
            Output = output.Handle,
            X = 12,
            Y = 7,
        };
        module.GetFunction("fetch_box").Launch(new CudaLaunchConfig(1, 32), 0, in parameters);
        uint[] back = new uint[32];
        CudaMemory.Download<uint>(back, output.Handle);
        static uint Expected(int x, int y) => x < 18 && y < 10 ? (uint)((y * 20) + x + 1) : 0;
        Assert.Equal(Enumerable.Range(0, 32).Select(i => Expected(12 + (i % 8), 7 + (i / 8))), back);
    }

    [Fact]
    public void A_tensor_map_that_cannot_be_is_told()
    {
        using CudaContext context = Require.Gpu(90);
        CudaException exception = Assert.Throws<CudaException>(
            () => CudaTensorMap.Tiled(CudaTensorMapDataType.UInt32, 0x1000, [18, 10], [81], [8, 4]));
        Assert.Equal("cuTensorMapEncodeTiled", exception.Call);
        Assert.Contains("strides [81]", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Foreign_contexts_and_streams_are_used_and_left_alone()
    {
        using CudaContext context = Require.Gpu();
        using CudaStream stream = context.CreateStream();
        using (CudaContext foreign = CudaContext.FromHandle(context.Handle))
        using (CudaStream used = foreign.UseStream(stream))
        {
            Assert.Equal(context.Device.PciAddress, foreign.Device.PciAddress);
            Assert.Equal(stream.Handle, used.Handle);
            used.Synchronize();
        }

        stream.Synchronize();
    }

    [Fact]
    public void What_lives_in_a_context_outlives_its_owners_disposal()
    {
        CudaContext context = Require.Gpu();
        CudaStream stream = context.CreateStream();
        context.Dispose();
        stream.Dispose();
        Assert.Throws<ObjectDisposedException>(() => stream.Handle);
        Assert.Throws<ObjectDisposedException>(() => context.CreateStream());
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void DelayedFill(CudaModule module, nint output, uint value, ulong cycles, nint stream)
    {
        void** arguments = stackalloc void*[3] { &output, &value, &cycles };
        module.GetFunction("delayed_fill").Launch(new CudaLaunchConfig(1, 32), stream, arguments);
    }
}
