using System.Collections.Concurrent;
using System.Globalization;
using System.Reflection;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>What every CUDA backend has: compiled kernels for each device, a catalogue of them, and instruments.</summary>
/// <remarks>
/// Settings: <c>KernelCache</c>, a folder of compiled kernels that is only read; <c>Nvrtc</c>, the compiler's library; <c>Context</c>, the
/// address of a <c>CUcontext</c> that another library made and goes on owning, in place of its device's primary context.
/// </remarks>
public abstract class CudaBackend : IMoeBackend, IMoeKernelCatalog, IMoeInstrumentedBackend
{
    private const string ContextSetting = "Context";

    private readonly ConcurrentDictionary<int, Lazy<KernelLibrary>> _libraries = new();
    private readonly KernelCompiler _compiler;
    private readonly Assembly _own;
    private readonly nint _givenContext;

    /// <summary>Makes the backend; touches no device.</summary>
    protected CudaBackend(IMoePluginContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        _own = GetType().Assembly;
        _givenContext = ReadContext(context.Settings.GetValueOrDefault(ContextSetting));
        _compiler = new KernelCompiler(new KernelCompilerOptions
        {
            PrebuiltFolder = context.Settings.GetValueOrDefault("KernelCache"),
            NvrtcPath = context.Settings.GetValueOrDefault("Nvrtc"),
        });
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> LocalArchitectures => KernelCatalog.LocalArchitectures;

    /// <inheritdoc/>
    public abstract MoeProbeResult Probe(MoeProbeRequest request);

    /// <inheritdoc/>
    public abstract IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request);

    /// <inheritdoc/>
    public IReadOnlyList<MoeKernelReport> Compile(string architecture, IProgress<double>? progress, CancellationToken cancellationToken) =>
        KernelCatalog.Compile(Units, architecture, _compiler, _own, progress, cancellationToken);

    /// <inheritdoc/>
    public IMoeInstruments CreateInstruments(MoeDevice device) => new CudaInstruments(Library(device.Ordinal));

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        foreach (Lazy<KernelLibrary> library in _libraries.Values.Where(library => library.IsValueCreated))
        {
            library.Value.Dispose();
            library.Value.Context.Dispose();
        }

        _libraries.Clear();
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }

    /// <summary>Every source that the backend compiles for an architecture.</summary>
    protected abstract IEnumerable<KernelUnit> Units(CudaArchitecture architecture);

    /// <summary>Why the common router cannot serve a shape; null where it can.</summary>
    protected static string? RefuseRouting(MoeLayerShape shape)
    {
        ArgumentNullException.ThrowIfNull(shape);
        if (shape.ExpertCount > RoutingKernels.MaxExperts)
        {
            return $"{shape.ExpertCount} experts are more than the {RoutingKernels.MaxExperts} that its router takes";
        }

        return shape.TopK > RoutingKernels.MaxTopK
            ? $"top-{shape.TopK} is more than the {RoutingKernels.MaxTopK} that its router takes"
            : null;
    }

    /// <summary>The kernels of a device.</summary>
    /// <exception cref="MoeException">There is no such device, or it cannot be used.</exception>
    protected KernelLibrary Library(int ordinal)
    {
        try
        {
            return _libraries.GetOrAdd(
                ordinal,
                number => new Lazy<KernelLibrary>(
                    () => new KernelLibrary(OpenContext(number), _compiler, _own))).Value;
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    private static nint ReadContext(string? text)
    {
        if (text is null)
        {
            return 0;
        }

        return nint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out nint context) && context != 0
            ? context
            : throw new MoeException(MoeReason.Configuration, $"Its setting {ContextSetting} is '{text}'; a CUcontext's address is expected, as a decimal number.");
    }

    // The primary context is the one of the CUDA runtime and all that is built on it. A context that was given stands for its own device alone.
    private CudaContext OpenContext(int ordinal)
    {
        if (_givenContext != 0)
        {
            CudaContext given = CudaContext.FromHandle(_givenContext);
            if (given.Device.Ordinal == ordinal)
            {
                return given;
            }
        }

        return CudaContext.RetainPrimary(CudaDevice.Get(ordinal));
    }
}
