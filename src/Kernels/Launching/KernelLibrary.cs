using System.Reflection;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The compiled kernels of one backend on one device: each is compiled or found once and kept until Dispose.</summary>
/// <remarks>Thread-safe.</remarks>
public sealed class KernelLibrary : IDisposable
{
    private readonly OnceEach<string, Unit> _units = new();
    private readonly KernelCompiler _compiler;
    private readonly Assembly _own;
    private readonly bool _hasDependentLaunch;

    /// <summary>Makes the library of a context.</summary>
    /// <param name="context">The context, which must outlive this.</param>
    /// <param name="compiler">Where compiled kernels come from.</param>
    /// <param name="own">The backend's assembly, whose embedded sources come before those of this assembly.</param>
    public KernelLibrary(CudaContext context, KernelCompiler compiler, Assembly own)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(compiler);
        ArgumentNullException.ThrowIfNull(own);
        Context = context;
        _hasDependentLaunch = context.Device.Architecture.HasClusters;
        _compiler = compiler;
        _own = own;
        Lanes = new WeightLanes(context);
    }

    /// <summary>The context that the kernels run in.</summary>
    public CudaContext Context { get; }

    /// <summary>What brings weights to the device.</summary>
    public WeightLanes Lanes { get; }

    /// <summary>What forwards on the device share.</summary>
    internal SharedWorkspaces<LayerWorkspace> Workspaces { get; } = new();

    /// <summary>A launch that may begin while the one before it still runs, where the device can do that.</summary>
    public CudaLaunchConfig Launch(CudaDim3 grid, CudaDim3 block, int dynamicSharedBytes = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(dynamicSharedBytes);
        return new(grid, block, dynamicSharedBytes) { ProgrammaticStreamSerialization = _hasDependentLaunch };
    }

    /// <summary>Gets a kernel.</summary>
    /// <param name="unit">Its source.</param>
    /// <param name="entry">Its name in the source, or one of the unit's instances.</param>
    /// <param name="dynamicSharedBytes">The most dynamic shared memory that it will be launched with.</param>
    /// <param name="besideProducts">
    /// Whether it runs next to the products, which take most of a multiprocessor's shared memory: to overlap with them it splits the L1 cache as they do.
    /// </param>
    /// <exception cref="MoeException">It does not compile, or there is no compiler.</exception>
    public CudaFunction Get(KernelUnit unit, string entry, int dynamicSharedBytes = 0, bool besideProducts = false)
    {
        ArgumentNullException.ThrowIfNull(unit);
        ArgumentException.ThrowIfNullOrWhiteSpace(entry);
        ArgumentOutOfRangeException.ThrowIfNegative(dynamicSharedBytes);
        try
        {
            Unit loaded = _units.GetOrMake(unit.ToString(), _ => Load(unit));
            CudaFunction function = loaded.Module.GetFunction(unit.Instances.Contains(entry) ? loaded.Image.GetLoweredName(entry) : entry);
            if (besideProducts)
            {
                function.PreferSharedMemory();
            }

            RaiseSharedBytes(function, dynamicSharedBytes);

            return function;
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Lanes.Dispose();
        foreach (Unit unit in _units.Made)
        {
            unit.Module.Dispose();
        }

        _units.Clear();
    }

    /// <summary>Writes what the kernels noted to a file (<see cref="KernelProbe"/>).</summary>
    internal void WriteProbes(string path)
    {
        using var text = new StreamWriter(path);
        text.WriteLine(KernelProbe.Header);
        foreach (Unit unit in _units.Made)
        {
            KernelProbe.Write(unit.Module, text);
        }
    }

    // Layers of other shapes use the same kernel with less, so it is never lowered.
    private void RaiseSharedBytes(CudaFunction function, int bytes)
    {
        lock (_units)
        {
            if (function.MaxDynamicSharedBytes < bytes)
            {
                function.SetMaxDynamicSharedBytes(bytes);
            }
        }
    }

    private Unit Load(KernelUnit unit)
    {
        KernelImage image = unit.Compile(_compiler, Context.Device.Architecture, _own);
        return new Unit(image, Context.LoadModule(image.Cubin.Span));
    }

    private sealed record Unit(KernelImage Image, CudaModule Module);
}
