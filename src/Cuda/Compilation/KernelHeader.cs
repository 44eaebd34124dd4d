namespace Moe.Plugins.Cuda;

/// <summary>A file that kernels include.</summary>
/// <param name="Name">The name as it stands in <c>#include "…"</c>.</param>
/// <param name="Text">The text.</param>
public sealed record KernelHeader(string Name, string Text);
