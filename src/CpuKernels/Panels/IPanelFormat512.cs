using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>How 16 rows of a weight format become float32.</summary>
internal unsafe interface IPanelFormat512
{
    /// <summary>Bytes of a panel for one pair of inputs.</summary>
    static abstract int PairBytes { get; }

    /// <summary>Loads what the 16 rows have for a pair of inputs.</summary>
    static abstract Vector512<uint> Load(byte* codes);

    /// <summary>The weights of the pair's first input, before the scale factor.</summary>
    static abstract Vector512<float> First(Vector512<uint> pair);

    /// <summary>The weights of the pair's second input, before the scale factor.</summary>
    static abstract Vector512<float> Second(Vector512<uint> pair);

    /// <summary>The scale factors of the 16 rows.</summary>
    static abstract Vector512<float> Scale(byte* scales);
}
