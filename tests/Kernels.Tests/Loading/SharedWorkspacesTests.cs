using Moe.Plugins.Cuda;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>Workspaces of layers that take turns, on a driver whose devices are the host's memory.</summary>
public sealed class SharedWorkspacesTests : IDisposable
{
    private const long Bytes = 1 << 16;

    private readonly FakeLibraries _libraries = new();

    [Fact]
    public Task Layers_that_take_turns_share_one_until_the_last_is_gone() => InOwnProcess(nameof(Layers_that_take_turns_share_one_until_the_last_is_gone), take =>
    {
        var turns = new MoeTurns();
        using var apart = take(With(new MoeTurns()));
        var first = take(With(turns));
        var second = take(With(turns));
        using var larger = take(With(turns, tokens: 16));
        using var alone = take(With(turns: null));
        Assert.Same(first.Workspace, second.Workspace);
        Assert.Equal(4, new[] { apart, first, larger, alone }.Select(share => share.Workspace).Distinct().Count());
        Assert.Equal(4 * Bytes, FakeDevice.Count().Device);
        Assert.Equal((Bytes, 0), (first.ByteCount, second.ByteCount));
        first.Dispose();
        first.Dispose();
        Assert.Equal(4 * Bytes, FakeDevice.Count().Device);
        Assert.Equal((0, Bytes), (first.ByteCount, second.ByteCount));
        second.Dispose();
        Assert.Equal(3 * Bytes, FakeDevice.Count().Device);
    });

    [Fact]
    public Task What_a_forward_failed_in_is_not_used_again() => InOwnProcess(nameof(What_a_forward_failed_in_is_not_used_again), take =>
    {
        MoeLayerOptions options = With(new MoeTurns());
        using var failed = take(options);
        using var other = take(options);
        failed.Spoil();
        var exception = Assert.Throws<MoeException>(() => other.Workspace);
        Assert.Equal(MoeReason.DeviceFailed, exception.Reason);
        Assert.Contains("make the states anew", exception.Message, StringComparison.Ordinal);
        using var anew = take(options);
        using var next = take(options);
        Assert.Same(anew.Workspace, next.Workspace);
        failed.Spoil();
        using var still = take(options);
        Assert.Same(anew.Workspace, still.Workspace);
    });

    public void Dispose() => _libraries.Dispose();

    private static MoeLayerOptions With(MoeTurns? turns, int tokens = 8) => new() { MaxTokens = tokens, Turns = turns };

    private Task InOwnProcess(string test, Action<Func<MoeLayerOptions, SharedWorkspaces<DeviceArena>.Share>> run)
    {
        if (OwnProcess.Told is null)
        {
            return OwnProcess.RunAsync(test, "", _libraries.WithDevice().SearchPath);
        }

        using CudaContext context = CudaContext.RetainPrimary(CudaDevice.Get(0));
        var shape = new MoeLayerShape { ExpertCount = 4, TopK = 2, HiddenSize = 64, IntermediateSize = 64 };
        var workspaces = new SharedWorkspaces<DeviceArena>();
        run(options => workspaces.Take(shape, options, () =>
        {
            var arena = new DeviceArena(context);
            arena.Allocate(Bytes);
            return arena;
        }));
        Assert.Equal(0, FakeDevice.Count().Device);
        return Task.CompletedTask;
    }
}
