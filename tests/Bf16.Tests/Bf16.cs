using Moe.Plugins.Tests;

namespace Moe.Plugins.Bf16.Tests;

internal static class Bf16
{
    public static CudaHost Host { get; } = new("Bf16");
}
