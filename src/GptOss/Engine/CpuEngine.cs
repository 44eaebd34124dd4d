using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss;

/// <summary>Computes on the processor.</summary>
internal sealed unsafe class CpuEngine(
    GptOssConfig config, ModelWeights weights, IReadOnlyList<ExpertLayer> experts, GptOssOptions options, CpuTeam team) : IModelEngine
{
    private NativeBuffer? _logits;

    /// <summary>The forwards, to be watched.</summary>
    public ModelForward Forwards { get; } = new(config, weights, experts, options, team);

    public IReadOnlyList<MoeDevice> Devices { get; } = [MoeDevice.Cpu];

    public int ThreadCount => team.ThreadCount;

    public long WeightByteCount => weights.ByteCount;

    public IKeyValueCache CreateCache() => new CachePages(config, options.CacheType);

    public void Run(IReadOnlyList<BatchToken> tokens, ForwardResults results, CancellationToken cancellationToken)
    {
        BatchToken[] asking = [.. tokens.Where(token => token.LogitRow >= 0)];
        long bytes = (long)Math.Max(asking.Length, 1) * Forwards.LogitWidth * sizeof(float);
        if (_logits is null || _logits.ByteCount < bytes)
        {
            _logits?.Dispose();
            _logits = new NativeBuffer(bytes);
        }

        float* rows = _logits.Pointer<float>();
        Forwards.Run(tokens, rows, cancellationToken);
        for (int i = 0; i < asking.Length; i++)
        {
            var logits = new Span<float>(rows + ((long)i * Forwards.LogitWidth), config.VocabularySize);
            if (!results.Logits.IsEmpty)
            {
                logits.CopyTo(results.Logits[(asking[i].LogitRow * config.VocabularySize)..]);
            }

            if (!results.Next.IsEmpty)
            {
                int row = asking[i].LogitRow;
                results.Next[row] = results.SamplerOf(row).Next(logits, results.Banned);
            }
        }
    }

    public void ForgetExperts()
    {
    }

    public void Dispose()
    {
        _logits?.Dispose();
        Forwards.Dispose();
        weights.Dispose();
        team.Dispose();
    }
}
