namespace Moe.Plugins.Cpu;

/// <summary>
/// A number of tokens as a type: a kernel's body is compiled for each of them, where the branches on the number are gone and each sum
/// has a register.
/// </summary>
internal interface ITokenCount
{
    /// <summary>The number.</summary>
    static abstract int Value { get; }
}
