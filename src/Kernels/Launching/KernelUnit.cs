using System.Reflection;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>One compilation: an embedded source and its macros.</summary>
/// <param name="File">The source's name, <c>router.cu</c>.</param>
/// <param name="Defines">Its macros, each <c>NAME=VALUE</c>.</param>
public sealed record KernelUnit(string File, params IReadOnlyList<string> Defines)
{
    /// <summary>Compiles it, or finds it compiled.</summary>
    /// <param name="compiler">Where compiled kernels come from.</param>
    /// <param name="architecture">What it is compiled for.</param>
    /// <param name="own">The backend's assembly, whose embedded sources come first.</param>
    public KernelImage Compile(KernelCompiler compiler, CudaArchitecture architecture, Assembly own)
    {
        ArgumentNullException.ThrowIfNull(compiler);
        return compiler.Compile(
            KernelSource.FromResources(File, own, typeof(KernelUnit).Assembly),
            architecture,
            new KernelCompileOptions { Defines = Defines });
    }

    /// <summary>The file and its macros.</summary>
    public override string ToString() => $"{File} {string.Join(' ', Defines)}".TrimEnd();
}
