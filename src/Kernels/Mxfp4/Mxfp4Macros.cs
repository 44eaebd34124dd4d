namespace Moe.Plugins.Kernels;

/// <summary>The macros that tell a product's source what activations it has.</summary>
internal static class Mxfp4Macros
{
    public static IReadOnlyList<string> Of(Mxfp4Activations activations) =>
        activations == Mxfp4Activations.Mxfp8 ? ["MOE_MXFP8=1"] : [];
}
