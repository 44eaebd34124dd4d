using Moe.Plugins.Conformance;

namespace Moe.Plugins.Tests;

/// <summary>What every backend's layer on a device has to hold, whatever its kernels.</summary>
internal static class LayerChecks
{
    /// <summary>The caller's routing gives what the router gave.</summary>
    public static void FollowsTheCallersRouting(MoeLayer layer, int tokens)
    {
        using MoeBuffer input = RandomInput.Create(tokens, layer.Config.Shape.HiddenSize, seed: 9);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun own = DeviceRun.Run(layer, state, input.View);
        using DeviceRun given = DeviceRun.Run(layer, state, input.View, routing: own);

        Assert.True(given.HasBitsOf(own));
    }

    /// <summary>NaN of the first token is NaN in all of its results, and in no other token's.</summary>
    public static unsafe void HandsNanOn(MoeLayer layer, int tokens)
    {
        int hidden = layer.Config.Shape.HiddenSize;
        using MoeBuffer input = RandomInput.Create(tokens, hidden, seed: 10);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun own = DeviceRun.Run(layer, state, input.View);
        ((ushort*)input.View.Address)[3] = 0x7FC0;

        // The router's weights would be NaN as well.
        using DeviceRun given = DeviceRun.Run(layer, state, input.View, routing: own);
        var results = new ReadOnlySpan<ushort>((void*)given.Output.View.Address, tokens * hidden);
        var before = new ReadOnlySpan<ushort>((void*)own.Output.View.Address, tokens * hidden);
        Assert.All(results[..hidden].ToArray(), bits => Assert.True((bits & 0x7FFF) > 0x7F80, $"{bits:x4} is not NaN"));
        Assert.True(results[hidden..].SequenceEqual(before[hidden..]));
    }

    /// <summary>Twenty runs of each number of tokens give the same bits, and no tokens do nothing.</summary>
    public static void RepeatsBitForBit(MoeLayer layer, params int[] tokenCounts)
    {
        int hidden = layer.Config.Shape.HiddenSize;
        using MoeForwardState state = layer.CreateState();
        foreach (int tokens in tokenCounts)
        {
            using MoeBuffer input = RandomInput.Create(tokens, hidden, seed: tokens);
            using DeviceRun first = DeviceRun.Run(layer, state, input.View);
            for (int i = 0; i < 20; i++)
            {
                using DeviceRun again = DeviceRun.Run(layer, state, input.View);
                Assert.True(again.HasBitsOf(first), $"run {i} of {tokens} tokens");
            }
        }

        using MoeBuffer none = RandomInput.Create(0, hidden, seed: 1);
        DeviceRun.Run(layer, state, none.View).Dispose();
    }

    /// <summary>Forwards that are enqueued one behind the other, while those before still run, give what each alone gives.</summary>
    public static unsafe void RunsBehindItself(MoeLayer layer)
    {
        int hidden = layer.Config.Shape.HiddenSize;
        IMoeMemory memory = layer.Method.Memory;
        using MoeForwardState state = layer.CreateState();
        nint stream = memory.CreateStream();
        var runs = new List<(DeviceTensor X, DeviceTensor Y, DeviceRun Alone)>();
        foreach (int tokens in new[] { 1, 5, 16, 1, 40, 2, 9, 1, 1, 64, 3 })
        {
            using MoeBuffer input = RandomInput.Create(tokens, hidden, seed: runs.Count);
            runs.Add((
                DeviceTensor.CopyOf(memory, input.View),
                new DeviceTensor(memory, layer.Config.Options.OutputType, tokens, hidden),
                DeviceRun.Run(layer, state, input.View)));
        }

        for (int i = 0; i < 20; i++)
        {
            foreach ((DeviceTensor x, DeviceTensor y, _) in runs)
            {
                layer.Forward(state, new MoeLayerCall { Input = x.View, Output = y.View, Stream = stream });
            }
        }

        memory.Synchronize(stream);
        foreach ((DeviceTensor x, DeviceTensor y, DeviceRun alone) in runs)
        {
            using MoeBuffer output = y.Download();
            int size = (int)output.ByteCount;
            Assert.True(new ReadOnlySpan<byte>((void*)output.View.Address, size).SequenceEqual(new ReadOnlySpan<byte>((void*)alone.Output.View.Address, size)));
            x.Dispose();
            y.Dispose();
            alone.Dispose();
        }

        memory.DestroyStream(stream);
    }

    /// <summary>Streams at once do not disturb each other: the n-th runs 1 + n · <paramref name="step"/> tokens, ten times.</summary>
    public static void RunsOnStreamsAtOnce(
        MoeLayer layer, MoeWeightSource source, int streams, int step, OracleActivations activations = OracleActivations.Exact, double? tolerance = null)
    {
        IMoeMemory memory = layer.Method.Memory;
        Parallel.For(0, streams, new ParallelOptions { MaxDegreeOfParallelism = streams }, thread =>
        {
            using MoeForwardState state = layer.CreateState();
            nint stream = memory.CreateStream();
            for (int i = 0; i < 10; i++)
            {
                using MoeBuffer input = RandomInput.Create(1 + (thread * step), layer.Config.Shape.HiddenSize, seed: (thread * 100) + i);
                using DeviceRun run = DeviceRun.Run(layer, state, input.View, stream: stream);
                run.AssertAgrees(layer, source, input.View, activations, tolerance);
            }

            memory.DestroyStream(stream);
        });
    }

    /// <summary>A forward of few or of many tokens allocates nothing.</summary>
    public static void AllocatesNothing(MoeLayer layer)
    {
        int hidden = layer.Config.Shape.HiddenSize;
        using MoeForwardState state = layer.CreateState();
        IMoeMemory memory = layer.Method.Memory;
        foreach (int tokens in new[] { 4, 512 })
        {
            using MoeBuffer input = RandomInput.Create(tokens, hidden, seed: 4);
            using DeviceTensor x = DeviceTensor.CopyOf(memory, input.View);
            using var output = new DeviceTensor(memory, MoeElementType.BFloat16, tokens, hidden);
            var call = new MoeLayerCall { Input = x.View, Output = output.View };
            layer.Forward(state, call);

            // A collection that another thread begins counts what this one's allocation context had left: it does not come three times.
            long least = long.MaxValue;
            for (int attempt = 0; attempt < 3; attempt++)
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                for (int i = 0; i < 10; i++)
                {
                    layer.Forward(state, call);
                }

                least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
            }

            Assert.Equal(0, least);
            memory.Synchronize(0);
        }
    }

    /// <summary>Makes the router choose one expert before all others, for every token.</summary>
    public static unsafe void SendEveryTokenTo(int expert, RandomLayer layer, int experts)
    {
        new Span<ushort>((void*)layer.Tensors.RouterBias.Address, experts).Clear();
        ((ushort*)layer.Tensors.RouterBias.Address)[expert] = 0x4480; // 1024
    }
}
