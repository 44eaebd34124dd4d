using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>How the words of 4 rows of a weight format become float32.</summary>
internal unsafe interface IPanelFormat128
{
    /// <summary>Pairs of inputs in a word.</summary>
    static abstract int PairsOfWord { get; }

    /// <summary>The weights of the word's first input, before the scale factor.</summary>
    static abstract Vector128<float> First(Vector128<uint> word);

    /// <summary>The weights of the word's second input, before the scale factor.</summary>
    static abstract Vector128<float> Second(Vector128<uint> word);

    /// <summary>Moves the word's next pair to where its first one was.</summary>
    static abstract Vector128<uint> Next(Vector128<uint> word);

    /// <summary>The scale factors of 4 rows.</summary>
    static abstract Vector128<float> Scale(byte* scales);
}
