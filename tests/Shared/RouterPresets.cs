namespace Moe.Plugins.Tests;

/// <summary>The contract's router presets by name, for test data.</summary>
internal static class RouterPresets
{
    public static IReadOnlyList<string> Names { get; } =
        [nameof(MoeRouter.TopKThenSoftmax), nameof(MoeRouter.SoftmaxThenTopK), nameof(MoeRouter.SoftmaxThenTopKRenormalized)];

    public static MoeRouter Of(string name) => (MoeRouter)typeof(MoeRouter).GetProperty(name)!.GetValue(null)!;
}
