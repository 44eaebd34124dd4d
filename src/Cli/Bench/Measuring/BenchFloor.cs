namespace Moe.Plugins.Cli;

/// <summary>The shortest time that a device's measured ceilings allow: the larger of moving the weights that were hit and of multiplying.</summary>
/// <param name="GigabytesPerSecond">Bandwidth.</param>
/// <param name="Teraflops">Matrix rate; null where none was measured, and the weights alone count.</param>
internal readonly record struct BenchFloor(double GigabytesPerSecond, double? Teraflops)
{
    /// <summary>A GPU's floor is of its copy bandwidth, which its kernels can reach; a processor's of its read bandwidth.</summary>
    public static BenchFloor Of(MoeCeilings ceilings, MoeDevice device)
    {
        double bandwidth = device.Kind == MoeDeviceKind.Cpu ? ceilings.ReadGigabytesPerSecond : ceilings.CopyGigabytesPerSecond;
        return new BenchFloor(bandwidth, double.IsFinite(ceilings.MatrixTeraflops) ? ceilings.MatrixTeraflops : null);
    }

    /// <summary>Microseconds of one forward.</summary>
    /// <param name="shape">The layer, in the format that its weights have.</param>
    /// <param name="tokens">Tokens of the batch.</param>
    /// <param name="experts">Distinct experts that they go to.</param>
    public double Microseconds(MoeLayerShape shape, int tokens, double experts)
    {
        double moving = Bytes(shape, experts) / GigabytesPerSecond / 1e3;
        double multiplying = Teraflops is double rate ? Operations(shape, tokens) / rate / 1e6 : 0;
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
        double routed = (double)shape.TopK * (shape.Activation.IsGated ? 3 : 2) * shape.ExpertHiddenSize * shape.IntermediateSize;
        double shared = shape.Shared is { } own ? (own.Activation.IsGated ? 3.0 : 2) * shape.HiddenSize * own.IntermediateSize : 0;
        double latent = shape.Latent is null ? 0 : 2.0 * shape.HiddenSize * shape.ExpertHiddenSize;
        return 2 * tokens * (routed + shared + latent + ((double)shape.ExpertCount * shape.HiddenSize));
    }

    /// <summary>Distinct experts that uniform routing hits on average.</summary>
    public static double ExpectedExperts(MoeLayerShape shape, int tokens) =>
        shape.ExpertCount * (1 - Math.Pow(1 - ((double)shape.TopK / shape.ExpertCount), tokens));
}
