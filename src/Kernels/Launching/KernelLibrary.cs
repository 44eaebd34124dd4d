using System.Collections.Concurrent;
using System.Reflection;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The compiled kernels of one backend on one device: each is compiled or found once and kept until Dispose.</summary>
/// <remarks>Thread-safe.</remarks>
public sealed class KernelLibrary : IDisposable
{
    private readonly ConcurrentDictionary<string, Lazy<CudaModule>> _modules = new(StringComparer.Ordinal);
    private readonly KernelCompiler _compiler;
    private readonly Assembly _own;

    /// <summary>Makes the library of a context.</summary>
    /// <param name="context">The context, which must outlive this.</param>
    /// <param name="compiler">Where compiled kernels come from.</param>
    /// <param name="own">The backend's assembly, whose embedded sources come before those of this assembly.</param>
    public KernelLibrary(CudaContext context, KernelCompiler compiler, Assembly own)
    {
        Context = context;
        _compiler = compiler;
        _own = own;
    }

    /// <summary>The context that the kernels run in.</summary>
    public CudaContext Context { get; }

    /// <summary>Gets a kernel.</summary>
    /// <param name="unit">Its source and macros.</param>
    /// <param name="entry">Its name in the source.</param>
    /// <param name="dynamicSharedBytes">The most dynamic shared memory that it will be launched with.</param>
    /// <param name="besideProducts">
    /// Whether it runs next to the products, which take most of a multiprocessor's shared memory: to overlap with them it splits the L1 cache as they do.
    /// </param>
    /// <exception cref="MoeException">It does not compile, or there is no compiler.</exception>
    public CudaFunction Get(KernelUnit unit, string entry, int dynamicSharedBytes = 0, bool besideProducts = false)
    {
        ArgumentNullException.ThrowIfNull(unit);
        try
        {
            CudaFunction function = _modules.GetOrAdd(unit.ToString(), _ => new Lazy<CudaModule>(() => Load(unit))).Value.GetFunction(entry);
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
        foreach (Lazy<CudaModule> module in _modules.Values)
        {
            if (module.IsValueCreated)
            {
                module.Value.Dispose();
            }
        }

        _modules.Clear();
    }

    // Layers of other shapes use the same kernel with less, so it is never lowered.
    private void RaiseSharedBytes(CudaFunction function, int bytes)
    {
        lock (_modules)
        {
            if (function.MaxDynamicSharedBytes < bytes)
            {
                function.SetMaxDynamicSharedBytes(bytes);
            }
        }
    }

    private CudaModule Load(KernelUnit unit) =>
        Context.LoadModule(unit.Compile(_compiler, Context.Device.Architecture, _own).Cubin.Span);
}
