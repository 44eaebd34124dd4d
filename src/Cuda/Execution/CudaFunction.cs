using System.Runtime.CompilerServices;

namespace Moe.Plugins.Cuda;

/// <summary>A kernel of a loaded module, which it keeps alive. Thread-safe, but for the two setters.</summary>
public sealed unsafe class CudaFunction
{
    private const int InvalidValue = 1;
    private readonly CudaModule _module;
    private readonly nint _function;

    internal CudaFunction(CudaModule module, nint function, string name)
    {
        _module = module;
        _function = function;
        Name = name;
        Registers = Read(FunctionAttribute.RegisterCount);
        StaticSharedBytes = Read(FunctionAttribute.SharedSizeBytes);
        LocalBytes = Read(FunctionAttribute.LocalSizeBytes);
        MaxThreadsPerBlock = Read(FunctionAttribute.MaxThreadsPerBlock);
        ParameterBytes = ReadParameterBytes();
    }

    /// <summary>The kernel's name in the image.</summary>
    public string Name { get; }

    /// <summary>The registers of each thread.</summary>
    public int Registers { get; }

    /// <summary>The statically declared shared memory of each block in bytes.</summary>
    public int StaticSharedBytes { get; }

    /// <summary>The most dynamic shared memory in bytes that a launch may ask for now.</summary>
    public int MaxDynamicSharedBytes => Read(FunctionAttribute.MaxDynamicSharedSizeBytes);

    /// <summary>The local memory of each thread in bytes: arrays and what the registers spill.</summary>
    public int LocalBytes { get; }

    /// <summary>The most threads of a block with which this kernel can run on this device.</summary>
    public int MaxThreadsPerBlock { get; }

    /// <summary>
    /// The size in bytes of the kernel's one parameter; 0 where it has none, null where it has several or the driver is too
    /// old to tell (before CUDA 12.4).
    /// </summary>
    public int? ParameterBytes { get; }

    /// <summary>The raw <c>CUfunction</c>.</summary>
    /// <exception cref="ObjectDisposedException">The module was disposed.</exception>
    public nint Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(_module.IsClosed, _module);
            return _function;
        }
    }

    /// <summary>Lets launches ask for up to this much dynamic shared memory, beyond the 48 KiB that need no asking.</summary>
    /// <param name="byteCount">
    /// The size in bytes; with the static part no more than <see cref="CudaDevice.MaxSharedBytesPerBlock"/>.
    /// </param>
    /// <exception cref="CudaException">The device has less.</exception>
    public void SetMaxDynamicSharedBytes(int byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        int result = Set(FunctionAttribute.MaxDynamicSharedSizeBytes, byteCount);
        if (result != 0)
        {
            throw CudaException.FromDriver(
                result,
                nameof(DriverApi.cuFuncSetAttribute),
                $"'{Name}' was to get {byteCount} bytes of dynamic shared memory beside {StaticSharedBytes} static ones; "
                    + $"a block of this device has at most {_module.Context.Device.MaxSharedBytesPerBlock}.");
        }
    }

    /// <summary>
    /// Asks for as much of a multiprocessor's L1 cache as can be to be shared memory while the kernel runs. Kernels that want different splits
    /// cannot run on one multiprocessor at a time.
    /// </summary>
    public void PreferSharedMemory() =>
        CudaException.ThrowIfFailed(Set(FunctionAttribute.PreferredSharedMemoryCarveout, 100), nameof(DriverApi.cuFuncSetAttribute));

    /// <summary>The number of blocks that fit on one multiprocessor at a time, for grids that fill the device once.</summary>
    /// <param name="threadsPerBlock">The threads of a block.</param>
    /// <param name="dynamicSharedBytes">The dynamic shared memory of a block in bytes.</param>
    public int GetMaxBlocksPerMultiprocessor(int threadsPerBlock, int dynamicSharedBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(threadsPerBlock);
        ArgumentOutOfRangeException.ThrowIfNegative(dynamicSharedBytes);
        using CudaContextScope scope = _module.Context.MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuOccupancyMaxActiveBlocksPerMultiprocessor(
            out int blocks, Handle, threadsPerBlock, (nuint)dynamicSharedBytes));
        return blocks;
    }

    /// <summary>Enqueues the kernel, which takes one struct by value. Allocates nothing.</summary>
    /// <typeparam name="TParameters">
    /// The struct, laid out as in the kernel. C++ rounds a struct's size up to its alignment: one that holds a
    /// <see cref="CudaTensorMap"/> keeps the maps first and has a size that is a multiple of 64 (<c>StructLayout.Size</c>).
    /// </typeparam>
    /// <param name="config">How to launch.</param>
    /// <param name="stream">The raw <c>CUstream</c>. Its context must be current on this thread.</param>
    /// <param name="parameters">The parameters; CUDA copies them before this returns.</param>
    /// <exception cref="ArgumentException">The struct's size is not that of the kernel's parameter.</exception>
    /// <exception cref="CudaException">The launch was refused, or something enqueued earlier failed.</exception>
    public void Launch<TParameters>(in CudaLaunchConfig config, nint stream, ref readonly TParameters parameters)
        where TParameters : unmanaged
    {
        if (ParameterBytes is int expected && expected != Unsafe.SizeOf<TParameters>())
        {
            throw new ArgumentException(
                $"'{Name}' takes a parameter of {expected} bytes, and {typeof(TParameters).Name} has {Unsafe.SizeOf<TParameters>()}.",
                nameof(parameters));
        }

        fixed (TParameters* pointer = &parameters)
        {
            void* argument = pointer;
            Launch(in config, stream, &argument);
        }
    }

    /// <summary>Enqueues the kernel with parameters given by their addresses. Allocates nothing.</summary>
    /// <param name="config">How to launch.</param>
    /// <param name="stream">The raw <c>CUstream</c>. Its context must be current on this thread.</param>
    /// <param name="parameters">The address of each parameter's value, in order; null for a kernel without any.</param>
    /// <exception cref="CudaException">The launch was refused, or something enqueued earlier failed.</exception>
    [SkipLocalsInit]
    public void Launch(in CudaLaunchConfig config, nint stream, void** parameters)
    {
        CuLaunchAttribute* attributes = stackalloc CuLaunchAttribute[2];
        uint count = 0;
        if (config.Cluster.X > 0)
        {
            attributes[count].Id = CuLaunchAttribute.ClusterDimension;
            attributes[count].ClusterX = (uint)config.Cluster.X;
            attributes[count].ClusterY = (uint)config.Cluster.Y;
            attributes[count++].ClusterZ = (uint)config.Cluster.Z;
        }

        if (config.ProgrammaticStreamSerialization)
        {
            attributes[count].Id = CuLaunchAttribute.ProgrammaticStreamSerialization;
            attributes[count++].ProgrammaticStreamSerializationAllowed = 1;
        }

        CuLaunchConfig native = new()
        {
            GridX = (uint)config.Grid.X,
            GridY = (uint)config.Grid.Y,
            GridZ = (uint)config.Grid.Z,
            BlockX = (uint)config.Block.X,
            BlockY = (uint)config.Block.Y,
            BlockZ = (uint)config.Block.Z,
            SharedBytes = (uint)config.DynamicSharedBytes,
            Stream = stream,
            Attributes = attributes,
            AttributeCount = count,
        };
        int result = DriverApi.cuLaunchKernelEx(&native, Handle, parameters, null);
        GC.KeepAlive(_module);
        if (result != 0)
        {
            throw CudaException.FromDriver(result, nameof(DriverApi.cuLaunchKernelEx), $"The kernel is '{Name}', launched with {config}.");
        }
    }

    private int Set(FunctionAttribute attribute, int value)
    {
        using CudaContextScope scope = _module.Context.MakeCurrent();
        return DriverApi.cuFuncSetAttribute(Handle, attribute, value);
    }

    private int Read(FunctionAttribute attribute)
    {
        CudaException.ThrowIfFailed(DriverApi.cuFuncGetAttribute(out int value, attribute, _function));
        return value;
    }

    private int? ReadParameterBytes()
    {
        if (CudaDriver.Version < 12040)
        {
            return null;
        }

        int result = DriverApi.cuFuncGetParamInfo(_function, 0, out _, out nuint bytes);
        if (result == InvalidValue)
        {
            return 0;
        }

        CudaException.ThrowIfFailed(result, nameof(DriverApi.cuFuncGetParamInfo));
        return DriverApi.cuFuncGetParamInfo(_function, 1, out _, out _) == 0 ? null : (int)bytes;
    }
}
