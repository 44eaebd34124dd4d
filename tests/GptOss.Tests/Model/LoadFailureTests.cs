using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.GptOss.Tests;

/// <summary>Where parts of a model load at once, and one of them fails.</summary>
public sealed class LoadFailureTests
{
    [Fact]
    public void What_was_loaded_beside_a_layer_that_failed_is_freed()
    {
        var platform = new CutPlatform();
        Assert.Throws<MoeSelectionException>(() => Models.Load(options =>
        {
            options.Platform = platform;
            options.Backend = "none-such";
        }));
        Assert.Equal((1, 1), (platform.Engine.Loaded, platform.Engine.Disposed));
    }

    [Fact]
    public void The_first_failure_ends_the_others_and_is_the_one_that_is_thrown()
    {
        using var ended = new ManualResetEventSlim();
        var exception = Assert.Throws<MoeException>(() => LoadWork.Run(
            [
                token =>
                {
                    token.WaitHandle.WaitOne(TimeSpan.FromSeconds(30));
                    ended.Set();
                    token.ThrowIfCancellationRequested();
                },
                _ => throw new MoeException(MoeReason.Checkpoint, "It was cut short."),
            ],
            TestContext.Current.CancellationToken));
        Assert.Equal("It was cut short.", exception.Message);
        Assert.True(ended.IsSet);
    }

    /// <summary>Who cancels finds the own token in what is thrown, not that of the parts, which is gone.</summary>
    [Fact]
    public void What_the_caller_ends_is_thrown_with_the_callers_token()
    {
        using var source = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var exception = Assert.Throws<OperationCanceledException>(() => LoadWork.Run(
            [
                token =>
                {
                    token.WaitHandle.WaitOne(TimeSpan.FromSeconds(30));
                    token.ThrowIfCancellationRequested();
                },
                _ => source.Cancel(),
            ],
            source.Token));
        Assert.Equal(source.Token, exception.CancellationToken);
    }

    /// <summary>Shares the whole model, on the processor, and reads nothing.</summary>
    private sealed class CutPlatform : IModelPlatform
    {
        public NoEngine Engine { get; } = new();

        public IReadOnlyList<MoeDevice> Devices { get; } = [MoeDevice.Cpu];

        public bool IsCut => true;

        public MoeLayerRequest Place(IMoeHost host, MoeLayerRequest request) => request;

        public IDisposable? Begin() => null;

        public void Check(IMoeHost host, GptOssConfig config, GptOssOptions options, RankPlan plan, MoeLayerRequest[] requests, Checkpoint checkpoint)
        {
        }

        public int LeastGroupRows(GptOssConfig config, RankPlan plan) => 0;

        public IModelEngine Load(
            ModelTensors tensors,
            GptOssConfig config,
            IReadOnlyList<ExpertLayer> experts,
            ModelRanks ranks,
            GptOssOptions options,
            LoadProgress progress,
            CancellationToken cancellationToken)
        {
            Engine.Loaded++;
            return Engine;
        }
    }

    private sealed class NoEngine : IModelEngine
    {
        public int Loaded { get; set; }

        public int Disposed { get; private set; }

        public IReadOnlyList<MoeDevice> Devices => [MoeDevice.Cpu];

        public int ThreadCount => 0;

        public long WeightByteCount => 0;

        public IKeyValueCache CreateCache() => throw new NotSupportedException();

        public void Run(IReadOnlyList<BatchToken> tokens, ForwardResults results, CancellationToken cancellationToken) => throw new NotSupportedException();

        public void ForgetExperts()
        {
        }

        public void Dispose() => Disposed++;
    }
}
