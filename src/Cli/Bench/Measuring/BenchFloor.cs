namespace Moe.Plugins.Cli;

/// <summary>The shortest time that a device's measured ceilings allow: the larger of moving the weights that were hit and of multiplying.</summary>
/// <param name="GigabytesPerSecond">Bandwidth.</param>
/// <param name="Teraflops">Matrix rate; null where none was measured, and the weights alone count.</param>
/// <param name="Fp8Teraflops">Rate of products of FP8 numbers; null where none was measured.</param>
internal readonly record struct BenchFloor(double GigabytesPerSecond, double? Teraflops, double? Fp8Teraflops = null)
{
    /// <summary>A GPU's floor is of its copy bandwidth, which its kernels can reach; a processor's of its read bandwidth.</summary>
    public static BenchFloor Of(MoeCeilings ceilings, MoeDevice device)
    {
        double bandwidth = device.Kind == MoeDeviceKind.Cpu ? ceilings.ReadGigabytesPerSecond : ceilings.CopyGigabytesPerSecond;
        return new BenchFloor(bandwidth, Finite(ceilings.MatrixTeraflops), Finite(ceilings.Fp8Teraflops));
    }

    /// <summary>Microseconds of one forward.</summary>
    /// <param name="shape">The layer, in the format that its weights have.</param>
    /// <param name="tokens">Tokens of the batch.</param>
    /// <param name="experts">Distinct experts that they go to.</param>
    /// <param name="isFp8">Whether the routed experts' products multiply FP8 numbers; the others never do.</param>
    public double Microseconds(MoeLayerShape shape, int tokens, double experts, bool isFp8 = false)
    {
        double moving = Bytes(shape, experts) / GigabytesPerSecond / 1e3;
        double fp8 = isFp8 && Fp8Teraflops is not null ? RoutedOperations(shape, tokens) : 0;
        double multiplying = Teraflops is double rate ? ((Operations(shape, tokens) - fp8) / rate / 1e6) + (fp8 / (Fp8Teraflops ?? rate) / 1e6) : 0;
        return Math.Max(moving, multiplying);
    }

    /// <summary>
    /// Bytes of some experts as the checkpoint has them, and of what every token reads: router, shared experts, latent projections. Without padding
    /// and biases.
    /// </summary>
    public static double Bytes(MoeLayerShape shape, double experts) =>
        (experts * LayerBytes.OfExpert(shape, shape.ExpertHiddenSize, shape.IntermediateSize)) + LayerBytes.AroundExperts(shape);

    /// <summary>Multiplications and additions of all products.</summary>
    public static double Operations(MoeLayerShape shape, int tokens)
    {
        double shared = shape.Shared is { } own ? (own.Activation.IsGated ? 3.0 : 2) * shape.HiddenSize * own.IntermediateSize : 0;
        double latent = shape.Latent is null ? 0 : 2.0 * shape.HiddenSize * shape.ExpertHiddenSize;
        return RoutedOperations(shape, tokens) + (2 * tokens * (shared + latent + ((double)shape.ExpertCount * shape.HiddenSize)));
    }

    private static double RoutedOperations(MoeLayerShape shape, int tokens) =>
        2.0 * tokens * shape.TopK * (shape.Activation.IsGated ? 3 : 2) * shape.ExpertHiddenSize * shape.IntermediateSize;

    private static double? Finite(double rate) => double.IsFinite(rate) ? rate : null;

    /// <summary>Distinct experts that uniform routing hits on average.</summary>
    public static double ExpectedExperts(MoeLayerShape shape, int tokens) =>
        shape.ExpertCount * (1 - Math.Pow(1 - ((double)shape.TopK / shape.ExpertCount), tokens));
}
