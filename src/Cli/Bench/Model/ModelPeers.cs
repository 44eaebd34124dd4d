namespace Moe.Plugins.Cli;

/// <summary>Others' figures for whole models, from a JSON file.</summary>
internal sealed record ModelPeers
{
    /// <summary>How and on what they were measured, one sentence.</summary>
    public required string Measured { get; init; }

    public required IReadOnlyList<Row> Rows { get; init; }

    /// <exception cref="MoeException">The file is not there, or is none.</exception>
    public static ModelPeers Load(string path) => BenchJson.Load<ModelPeers>(path, "a file of peers' figures of whole models");

    /// <summary>One figure.</summary>
    /// <param name="Name">The peer.</param>
    /// <param name="Phase">prefill or decode.</param>
    /// <param name="Batch">Sequences.</param>
    /// <param name="Context">Positions before, or the prompt's tokens.</param>
    /// <param name="TokensPerSecond">Of all sequences together.</param>
    internal sealed record Row(string Name, string Phase, int Batch, int Context, double TokensPerSecond);
}
