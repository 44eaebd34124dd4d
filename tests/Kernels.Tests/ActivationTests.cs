using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>The formulas between the products, as a host compiler makes them.</summary>
public sealed unsafe class ActivationTests
{
    private const string Exports =
        """
        #include "epilogue/activation.cuh"
        extern "C" float run(int is_common, int kind, float gate, float up)
        {
            const Activation common = {1.702f, 7, 1, kind};
            return is_common ? common(gate, up) : GatedActivation{common}(gate, up);
        }
        """;

    [Theory]
    [InlineData(true, 0)]
    [InlineData(false, 0)]
    [InlineData(false, 1)]
    [InlineData(false, 2)]
    [InlineData(false, 3)]
    [InlineData(false, 4)]
    public void NaN_is_handed_on(bool isCommon, int kind)
    {
        using HostLibrary library = HostLibrary.CompileBlock("mxfp4_grouped.cu", Exports);
        var run = (delegate* unmanaged<int, int, float, float, float>)library.Export("run");
        Assert.True(float.IsNaN(run(isCommon ? 1 : 0, kind, float.NaN, 1)));
        Assert.True(float.IsNaN(run(isCommon ? 1 : 0, kind, 1, float.NaN)));
        Assert.True(float.IsFinite(run(isCommon ? 1 : 0, kind, 1e9f, -1e9f)));
    }

    [Fact]
    public void Gate_and_up_are_bounded_first()
    {
        using HostLibrary library = HostLibrary.CompileBlock("mxfp4_grouped.cu", Exports);
        var run = (delegate* unmanaged<int, int, float, float, float>)library.Export("run");
        double bound = 7 / (1 + Math.Exp(-1.702 * 7));
        Assert.Equal(8 * bound, run(1, 0, 9, 100), 1e-4);
        Assert.Equal(-6 * bound, run(1, 0, 9, -100), 1e-4);
        Assert.Equal(-200 / (1 + Math.Exp(1.702 * 100)), run(1, 0, -100, 1), 1e-4);
    }
}
