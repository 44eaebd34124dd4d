using System.Reflection;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>One compilation: an embedded source, and which instances of its kernel templates.</summary>
/// <param name="File">The source's name, <c>router.cu</c>.</param>
/// <param name="Instances">The instances, as C++ names them: <c>product&lt;32, 64&gt;</c>. Plain kernels (<c>extern "C"</c>) are compiled anyway.</param>
public sealed record KernelUnit(string File, params IReadOnlyList<string> Instances)
{
    /// <summary>Compiles it, or finds it compiled.</summary>
    /// <param name="compiler">Where compiled kernels come from.</param>
    /// <param name="architecture">What it is compiled for.</param>
    /// <param name="own">The backend's assembly, whose embedded sources come first.</param>
    public KernelImage Compile(KernelCompiler compiler, CudaArchitecture architecture, Assembly own)
    {
        ArgumentNullException.ThrowIfNull(compiler);
        ArgumentException.ThrowIfNullOrWhiteSpace(File);
        ArgumentCheck.ThrowIfAnyNull(Instances);
        return compiler.Compile(
            KernelSource.FromResources(File, own, typeof(KernelUnit).Assembly),
            architecture,
            new KernelCompileOptions { NameExpressions = Instances });
    }

    /// <summary>The file and its instances.</summary>
    public override string ToString() => $"{File} {string.Join(' ', Instances)}".TrimEnd();
}
