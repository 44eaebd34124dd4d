using Moe.Plugins.Conformance;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Tests;

/// <summary>
/// A device that is full refuses a layer or a state with what is free, keeps nothing of what was begun, and takes it once there is room. Each in a
/// process of its own: no other test has room meanwhile.
/// </summary>
[Collection(Alone.Name)]
public sealed class OutOfMemoryTests
{
    private const string AloneVariable = "MOE_GPU_ALONE";

    /// <summary>What is left to whoever has to fail: less than any of the layers, more than the driver needs for itself.</summary>
    private const long Left = 64L << 20;

    /// <summary>What the driver, and kernels that are loaded by then, may keep.</summary>
    private const long Kept = 96L << 20;

    private const int ManyTokens = 8192;

    /// <summary>200 MB in MXFP4.</summary>
    private static readonly MoeLayerShape Large = new() { HiddenSize = 2880, IntermediateSize = 2880, ExpertCount = 16, TopK = 4 };

    private static readonly MoeLayerShape Small = Large with { ExpertCount = 4 };

    [Theory]
    [InlineData("Bf16")]
    [InlineData("Mxfp4.Marlin")]
    [InlineData("Mxfp4.Sm100")]
    public Task At_load(string backend) => InOwnProcess(nameof(At_load), backend, context =>
    {
        using var weights = new RandomLayer(Large, seed: 1);
        using MoeHost host = Host(backend);
        float[] right = RunOnce(host, weights);
        long free = context.GetFreeMemory();
        using (Gpu.Fill(context, Left))
        {
            MoeException refused = Assert.ThrowsAny<MoeException>(() => RunOnce(host, weights));
            Assert.Equal(MoeReason.OutOfMemory, refused.Reason);
            Assert.Contains("bytes are free", refused.Message, StringComparison.Ordinal);
            Assert.Contains(backend, refused.Message, StringComparison.Ordinal);

            // Left to choose, the host takes the processor, and says why.
            using MoeHost choosing = Host(MoeOptions.Auto, backend);
            using var cpu = new DeviceLayer(choosing, weights);
            Assert.Equal(MoeDevice.Cpu, cpu.Layer.Device);
            Assert.Equal(MoeReason.OutOfMemory, Assert.Single(choosing.Selections).Candidates.Single(candidate => candidate.Id == backend).Reason);
        }

        Assert.InRange(free - context.GetFreeMemory(), long.MinValue, Kept);
        Assert.Equal(right, RunOnce(host, weights));
    });

    [Theory]
    [InlineData("Bf16")]
    [InlineData("Mxfp4.Marlin")]
    [InlineData("Mxfp4.Sm100")]
    public Task At_a_state(string backend) => InOwnProcess(nameof(At_a_state), backend, context =>
    {
        using var weights = new RandomLayer(Small, seed: 1);
        using MoeHost host = Host(backend);
        using var layer = new DeviceLayer(host, weights, maxTokens: ManyTokens);
        float[] right = layer.Run();
        long free;
        using (Gpu.Fill(context, Left))
        {
            free = context.GetFreeMemory();
            for (int i = 0; i < 3; i++)
            {
                MoeException refused = Assert.ThrowsAny<MoeException>(() => TakeStates(layer.Layer));
                Assert.Equal(MoeReason.OutOfMemory, refused.Reason);
                Assert.Contains("bytes are free", refused.Message, StringComparison.Ordinal);
                Assert.InRange(free - context.GetFreeMemory(), long.MinValue, Kept);
            }

            // Who has a state goes on.
            Assert.Null(layer.Layer.Failure);
            Assert.Equal(right, layer.Run());
        }

        using MoeForwardState again = layer.Layer.CreateState();
        Assert.Equal(right, layer.Run());
    });

    [Theory]
    [InlineData("Mxfp4.Marlin", "Mxfp4.Marlin")]
    [InlineData("Mxfp4.Marlin", "Bf16")]
    public Task Between_two_hosts(string first, string second) => InOwnProcess(nameof(Between_two_hosts), $"{first} {second}", context =>
    {
        using var weights = new RandomLayer(Large, seed: 1);
        using MoeHost one = Host(first);
        using MoeHost other = Host(second);
        float[] rightOfOther = RunOnce(other, weights);
        var layer = new DeviceLayer(one, weights);
        float[] right = layer.Run();
        long needed = Large.ExpertCount * 3L * 2880 * 2880 * (second == "Bf16" ? 2 : 1);
        using (Gpu.Fill(context, needed / 2))
        {
            Assert.Equal(MoeReason.OutOfMemory, Assert.ThrowsAny<MoeException>(() => RunOnce(other, weights)).Reason);
            Assert.Equal(right, layer.Run());
            layer.Dispose();
            if (first == second)
            {
                // The room that one gave back is the other's.
                Assert.Equal(rightOfOther, RunOnce(other, weights));
            }
        }

        Assert.Equal(rightOfOther, RunOnce(other, weights));
    });

    // The inner process is told which case it is, and runs them all.
    private static async Task InOwnProcess(string test, string which, Action<CudaContext> run)
    {
        using CudaContext context = Gpu.Require();
        Assert.SkipUnless(
            Environment.GetEnvironmentVariable(AloneVariable) == "1",
            $"It takes all of the device's memory: set {AloneVariable}=1 where nothing else uses the device.");
        if (OwnProcess.Told is null)
        {
            await OwnProcess.RunAsync(test, which);
        }
        else if (OwnProcess.Told == which)
        {
            run(context);
        }
    }

    private static MoeHost Host(string backend, params string[] order)
    {
        var options = new MoeOptions { Backend = backend, Fallback = MoeFallback.Allow };
        foreach (string id in order)
        {
            options.Order.Add(id);
        }

        options.Order.Add("Cpu");
        return MoeHost.Create(options);
    }

    private static float[] RunOnce(MoeHost host, RandomLayer weights)
    {
        using var layer = new DeviceLayer(host, weights);
        return layer.Run();
    }

    private static void TakeStates(MoeLayer layer)
    {
        var states = new List<MoeForwardState>();
        try
        {
            while (states.Count < 1000)
            {
                states.Add(layer.CreateState());
            }
        }
        finally
        {
            states.ForEach(static state => state.Dispose());
        }
    }
}
