using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>How the words of 16 rows of a weight format become float32.</summary>
internal unsafe interface IPanelFormat512
{
    /// <summary>Pairs of inputs in a word.</summary>
    static abstract int PairsOfWord { get; }

    /// <summary>The weights of the word's first input, before the scale factor.</summary>
    static abstract Vector512<float> First(Vector512<uint> word);

    /// <summary>The weights of the word's second input, before the scale factor.</summary>
    static abstract Vector512<float> Second(Vector512<uint> word);

    /// <summary>Moves the word's next pair to where its first one was.</summary>
    static abstract Vector512<uint> Next(Vector512<uint> word);

    /// <summary>The scale factors of 16 rows.</summary>
    static abstract Vector512<float> Scale(byte* scales);
}
