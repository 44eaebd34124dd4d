using System.Diagnostics.CodeAnalysis;

namespace Moe.Plugins.Cuda;

/// <summary>
/// Compiles kernels for exactly one architecture, once: what was compiled is kept in the user's cache under a hash of source,
/// headers, options, architecture and NVRTC's version, and a second start compiles nothing.
/// </summary>
/// <remarks>Thread-safe, and safe beside other processes that use the same folder. Needs no GPU.</remarks>
public sealed class KernelCompiler
{
    private readonly KernelCompilerOptions _options;

    /// <summary>Makes a compiler; NVRTC is loaded when it is first needed.</summary>
    /// <param name="options">Where to find NVRTC and keep compiled kernels; null takes the defaults.</param>
    public KernelCompiler(KernelCompilerOptions? options = null)
    {
        _options = options ?? new KernelCompilerOptions();
        ArgumentCheck.ThrowIfAnyNull(_options.Defines, $"{nameof(options)}.{nameof(options.Defines)}");
        ArgumentCheck.ThrowIfBlank(_options.NvrtcPath, $"{nameof(options)}.{nameof(options.NvrtcPath)}");
        ArgumentCheck.ThrowIfBlank(_options.CacheFolder, $"{nameof(options)}.{nameof(options.CacheFolder)}");
        ArgumentCheck.ThrowIfBlank(_options.PrebuiltFolder, $"{nameof(options)}.{nameof(options.PrebuiltFolder)}");
    }

    /// <summary>The user's own folder: <c>moe/kernels</c> in the user's cache folder; null where the user has none.</summary>
    public static string? DefaultCacheFolder => UserCache.FolderOf("kernels");

    /// <summary>
    /// Why the cache could not be used, the last time that it could not; null while it works. Kernels are then compiled at
    /// each start, which is slow but right.
    /// </summary>
    public string? CacheProblem { get; private set; }

    /// <summary>Loads NVRTC where that has not happened yet: the one that the options name, or the one that is found.</summary>
    /// <param name="reason">A sentence that says what is missing, where the answer is false.</param>
    public bool TryLoadNvrtc([NotNullWhen(false)] out string? reason) => Nvrtc.TryLoad(_options.NvrtcPath, out reason);

    /// <summary>Finds or compiles a source.</summary>
    /// <param name="source">The source.</param>
    /// <param name="architecture">The architecture of the device on which it will run.</param>
    /// <param name="options">What to compile it with; null takes the defaults.</param>
    /// <exception cref="CudaException">
    /// It does not compile (the message holds NVRTC's, with file and line), or there is no NVRTC.
    /// </exception>
    public KernelImage Compile(KernelSource source, CudaArchitecture architecture, KernelCompileOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentOutOfRangeException.ThrowIfNegative(architecture.Major);
        ArgumentOutOfRangeException.ThrowIfNegative(architecture.Minor);
        KernelCompileOptions own = options ?? new KernelCompileOptions();
        ArgumentCheck.ThrowIfAnyNull(own.Defines, $"{nameof(options)}.{nameof(options.Defines)}");
        ArgumentCheck.ThrowIfAnyNull(own.Options, $"{nameof(options)}.{nameof(options.Options)}");
        ArgumentCheck.ThrowIfAnyNull(own.NameExpressions, $"{nameof(options)}.{nameof(options.NameExpressions)}");
        KernelRequest request = new(source, architecture, own with { Defines = [.. _options.Defines, .. own.Defines] });
        if (_options.PrebuiltFolder is string prebuilt && KernelCache.TryReadNewest(prebuilt, request.Key, out KernelImage? image))
        {
            return image;
        }

        if (!TryLoadNvrtc(out string? reason))
        {
            throw CudaException.NotLoaded(
                NativeLibraries.Nvrtc,
                $"{source.Name} has to be compiled for {architecture}"
                    + (_options.PrebuiltFolder is null ? ". " : $", as '{_options.PrebuiltFolder}' does not hold it. ") + reason);
        }

        Version version = Nvrtc.GetVersion();
        string? folder = PrepareCache();
        if (folder is not null && KernelCache.TryRead(folder, request.Key, version, out image))
        {
            return image;
        }

        image = Compile(request, version);
        if (folder is not null)
        {
            Keep(folder, request, version, image);
        }

        return image;
    }

    private static KernelImage Compile(KernelRequest request, Version version)
    {
        IReadOnlyList<int> known = Nvrtc.GetArchitectures();
        if (!known.Contains(request.Architecture.Number))
        {
            throw CudaException.NotLoaded(
                NativeLibraries.Nvrtc,
                $"{request.Source.Name} cannot be compiled for {request.Architecture}: "
                    + $"NVRTC {version} knows {string.Join(", ", known.Select(number => $"sm_{number}"))}.");
        }

        using NvrtcProgram program = new(request.Source);
        return program.Compile(request);
    }

    private string? PrepareCache()
    {
        if (!_options.UseCache)
        {
            return null;
        }

        string? folder = _options.CacheFolder ?? DefaultCacheFolder;
        if (folder is null)
        {
            CacheProblem = "this user has no home folder for compiled kernels";
            return null;
        }

        try
        {
            CacheProblem = KernelCache.Prepare(folder);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            CacheProblem = $"the kernel cache '{folder}' could not be made: {exception.Message}";
        }

        return CacheProblem is null ? folder : null;
    }

    private void Keep(string folder, KernelRequest request, Version version, KernelImage image)
    {
        try
        {
            KernelCache.Write(folder, request.Key, version, image);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            CacheProblem = $"the kernel cache '{folder}' could not be written: {exception.Message}";
        }
    }
}
