using System.Diagnostics;
using System.Reflection;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Compiles all of a backend's kernels for an architecture and reports on each: what <see cref="IMoeKernelCatalog"/> needs.</summary>
public static class KernelCatalog
{
    /// <summary>Architectures of the devices here; empty where there is none.</summary>
    public static IReadOnlyList<string> LocalArchitectures => CudaDriver.TryLoad(out _)
        ? [.. Enumerable.Range(0, CudaDevice.Count).Select(ordinal => CudaDevice.Get(ordinal).Architecture.Target).Distinct()]
        : [];

    /// <summary>Compiles every unit.</summary>
    /// <param name="units">The units, for a given architecture.</param>
    /// <param name="architecture">As the compiler names it, <c>sm_90a</c>.</param>
    /// <param name="compiler">Where compiled kernels come from and go.</param>
    /// <param name="own">The backend's assembly.</param>
    /// <param name="progress">Told the share that is done, 0 to 1; may be null.</param>
    /// <param name="cancellationToken">Ends the work between two units.</param>
    /// <exception cref="MoeException">There is no compiler, or the name is none.</exception>
    public static IReadOnlyList<MoeKernelReport> Compile(
        Func<CudaArchitecture, IEnumerable<KernelUnit>> units,
        string architecture,
        KernelCompiler compiler,
        Assembly own,
        IProgress<double>? progress,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(units);
        ArgumentException.ThrowIfNullOrWhiteSpace(architecture);
        ArgumentNullException.ThrowIfNull(compiler);
        ArgumentNullException.ThrowIfNull(own);
        CudaArchitecture target = ParseArchitecture(architecture);
        if (!compiler.TryLoadNvrtc(out string? reason))
        {
            throw new MoeException(MoeReason.MissingLibrary, reason);
        }

        var reports = new List<MoeKernelReport>();
        KernelUnit[] all = [.. units(target)];
        for (int i = 0; i < all.Length; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Compile(all[i], target, compiler, own, reports);
            progress?.Report((i + 1.0) / all.Length);
        }

        return reports;
    }

    private static void Compile(KernelUnit unit, CudaArchitecture target, KernelCompiler compiler, Assembly own, List<MoeKernelReport> reports)
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            KernelImage image = unit.Compile(compiler, target, own);
            double seconds = image.Origin == KernelImageOrigin.Compiled ? Stopwatch.GetElapsedTime(start).TotalSeconds : 0;
            Dictionary<string, string> instances = unit.Instances.ToDictionary(image.GetLoweredName);
            reports.AddRange(image.Reports.Select(report => new MoeKernelReport
            {
                Kernel = instances.GetValueOrDefault(report.Name, report.Name),
                Architecture = target.Target,
                Registers = report.Registers,
                SharedBytes = report.SharedBytes,
                SpillBytes = report.SpillStoreBytes,
                Seconds = seconds,
            }));
        }
        catch (CudaException exception)
        {
            reports.Add(new MoeKernelReport { Kernel = unit.ToString(), Architecture = target.Target, Error = exception.Message });
        }
    }

    private static CudaArchitecture ParseArchitecture(string name)
    {
        ReadOnlySpan<char> digits = name.AsSpan().TrimEnd('a');
        return digits.StartsWith("sm_", StringComparison.Ordinal) && int.TryParse(digits[3..], out int number) && number is >= 50 and < 1000
            ? new CudaArchitecture(number / 10, number % 10)
            : throw new MoeException(MoeReason.Configuration, $"'{name}' is no architecture; one such as sm_80 or sm_90a is expected.");
    }
}
