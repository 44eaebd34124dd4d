namespace Moe.Plugins.Cuda;

/// <summary>What a source is compiled with, beside what every source gets (C++17, device code by default, ptxas' report).</summary>
public sealed record KernelCompileOptions
{
    /// <summary>Macros, as <c>NAME</c> or <c>NAME=VALUE</c>.</summary>
    public IReadOnlyList<string> Defines { get; init; } = [];

    /// <summary>More of NVRTC's options, such as <c>--use_fast_math</c> or <c>--maxrregcount=128</c>.</summary>
    public IReadOnlyList<string> Options { get; init; } = [];

    /// <summary>Template instances to compile, such as <c>gemm&lt;64, 128&gt;</c>; see <see cref="KernelImage.GetLoweredName"/>.</summary>
    public IReadOnlyList<string> NameExpressions { get; init; } = [];
}
