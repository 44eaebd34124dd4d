namespace Moe.Plugins.Cpu;

/// <summary>How a block of activations is written, as the instructions want it.</summary>
internal enum DigitLayout
{
    /// <summary>Digits, with beginnings for sums of 16 bits: of the first two inputs of each four, and of the others.</summary>
    Pairs,

    /// <summary>Digits, with beginnings for sums of 32 bits.</summary>
    Fours,

    /// <summary>No digits: each number in 16 bits, which two digits fit into.</summary>
    Whole,
}
