using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>How 4 rows (a quarter of a panel) of a weight format become float32.</summary>
internal unsafe interface IPanelFormat128
{
    /// <summary>Bytes of a panel for one pair of inputs.</summary>
    static abstract int PairBytes { get; }

    /// <summary>Loads what the 4 rows of a quarter have for a pair of inputs.</summary>
    static abstract Vector128<uint> Load(byte* codes, int quarter);

    /// <summary>The weights of the pair's first input, before the scale factor.</summary>
    static abstract Vector128<float> First(Vector128<uint> pair);

    /// <summary>The weights of the pair's second input, before the scale factor.</summary>
    static abstract Vector128<float> Second(Vector128<uint> pair);

    /// <summary>The scale factors of 4 rows.</summary>
    static abstract Vector128<float> Scale(byte* scales);
}
