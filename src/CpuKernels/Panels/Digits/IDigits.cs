namespace Moe.Plugins.Cpu;

/// <summary>How exactly activations are written as digits.</summary>
internal interface IDigits
{
    /// <summary>Digits of an activation.</summary>
    static abstract int Count { get; }

    /// <summary>Bits of a digit.</summary>
    static abstract int DigitBits { get; }

    /// <summary>Bits of an activation, without its sign: as many as leave every digit a signed byte.</summary>
    static abstract int ValueBits { get; }
}
