using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary><c>mxfp8_rule.cuh</c>, compiled for the host.</summary>
internal sealed unsafe class HostRule : IDisposable
{
    private readonly HostLibrary _library = HostLibrary.Compile(
        "formats/mxfp8_rule.cuh",
        """
        extern "C" unsigned scale_of(unsigned amax) { return mxfp8_scale(amax); }
        extern "C" float multiplier_of(unsigned scale) { return mxfp8_multiplier(scale); }
        extern "C" unsigned code_of(float value) { return e4m3_from_float(value); }
        """);

    public HostRule()
    {
        Scale = (delegate* unmanaged<uint, uint>)_library.Export("scale_of");
        Multiplier = (delegate* unmanaged<uint, float>)_library.Export("multiplier_of");
        Code = (delegate* unmanaged<float, uint>)_library.Export("code_of");
    }

    public delegate* unmanaged<uint, uint> Scale { get; }

    public delegate* unmanaged<uint, float> Multiplier { get; }

    public delegate* unmanaged<float, uint> Code { get; }

    public void Dispose() => _library.Dispose();
}
