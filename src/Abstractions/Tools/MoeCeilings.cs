namespace Moe.Plugins;

/// <summary>What a device can do at best, measured.</summary>
public sealed record MoeCeilings
{
    /// <summary>Bandwidth of a large copy within the device's memory, bytes read plus bytes written, in 10⁹ bytes a second.</summary>
    public required double CopyGigabytesPerSecond { get; init; }

    /// <summary>Bandwidth of reading a large buffer, in 10⁹ bytes a second.</summary>
    public required double ReadGigabytesPerSecond { get; init; }

    /// <summary>Rate of a large matrix product in the arithmetic that the backend uses, in 10¹² operations a second; NaN where
    /// nothing here computes one.</summary>
    public required double MatrixTeraflops { get; init; }

    /// <summary>What computed that product: a library's name and version, or the backend's own kernel, named as such.</summary>
    public required string MatrixSource { get; init; }

    /// <summary>
    /// Rate of a large product of FP8 matrices, in 10¹² operations a second; NaN where the device has none, or the backend multiplies none. It bounds
    /// forwards of which <see cref="IMoeWeights.MultipliesFp8"/> says so.
    /// </summary>
    public double Fp8Teraflops { get; init; } = double.NaN;

    /// <summary>What computed that one; null where nothing did.</summary>
    public string? Fp8Source { get; init; }
}
