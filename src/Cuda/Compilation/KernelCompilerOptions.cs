namespace Moe.Plugins.Cuda;

/// <summary>Where a <see cref="KernelCompiler"/> finds NVRTC and keeps what it compiled.</summary>
public sealed record KernelCompilerOptions
{
    /// <summary>NVRTC's file; null searches for it by its usual names.</summary>
    public string? NvrtcPath { get; init; }

    /// <summary>
    /// The folder of compiled kernels, the user's alone; null takes <see cref="KernelCompiler.DefaultCacheFolder"/>.
    /// </summary>
    public string? CacheFolder { get; init; }

    /// <summary>False compiles anew each time and writes nothing.</summary>
    public bool UseCache { get; init; } = true;

    /// <summary>
    /// A folder with entries that some cache folder once got; it is looked at first and never written. A kernel found there
    /// needs no NVRTC, whatever NVRTC it was compiled with.
    /// </summary>
    public string? PrebuiltFolder { get; init; }

    /// <summary>Macros for every source, as <c>NAME</c> or <c>NAME=VALUE</c>, before those of a request: to measure kernels by.</summary>
    public IReadOnlyList<string> Defines { get; init; } = [];
}
