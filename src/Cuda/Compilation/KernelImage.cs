namespace Moe.Plugins.Cuda;

/// <summary>A compiled source: a cubin for one architecture, and what the compiler said. Immutable.</summary>
public sealed class KernelImage
{
    internal KernelImage(byte[] cubin, string log, IReadOnlyDictionary<string, string> loweredNames, KernelImageOrigin origin)
    {
        Cubin = cubin;
        Log = log;
        LoweredNames = loweredNames;
        Origin = origin;
        Reports = PtxasLog.Parse(log);
    }

    /// <summary>The machine code, for <see cref="CudaContext.LoadModule"/>.</summary>
    public ReadOnlyMemory<byte> Cubin { get; }

    /// <summary>The compiler's messages: warnings, and ptxas' report.</summary>
    public string Log { get; }

    /// <summary>Registers, shared memory and spills, a kernel each.</summary>
    public IReadOnlyList<KernelReport> Reports { get; }

    /// <summary>Whether it was compiled, or found.</summary>
    public KernelImageOrigin Origin { get; }

    internal IReadOnlyDictionary<string, string> LoweredNames { get; }

    /// <summary>The name in the image of a template instance.</summary>
    /// <param name="nameExpression">One of <see cref="KernelCompileOptions.NameExpressions"/>, letter by letter.</param>
    /// <exception cref="KeyNotFoundException">It was not among them.</exception>
    public string GetLoweredName(string nameExpression)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(nameExpression);
        return LoweredNames.TryGetValue(nameExpression, out string? name)
            ? name
            : throw new KeyNotFoundException(
                $"'{nameExpression}' is none of the name expressions compiled: {string.Join(", ", LoweredNames.Keys)}.");
    }
}
