using Moe.Plugins.Conformance;

namespace Moe.Plugins.Tests;

/// <summary>Forwards of any number of tokens over four ranks, one behind the other, each of which is to be right.</summary>
internal static class RandomForwards
{
    private const int MaxTokens = 9;
    private const int TensorRanks = 2;
    private const int ExpertRanks = 2;

    /// <summary>Runs <see cref="GroupLoadTests.Calls"/> of them. Each number of tokens has the same input every time, and is to have the same bits.</summary>
    /// <param name="host">Has backends and groups.</param>
    /// <param name="backend">Of the layers.</param>
    /// <param name="group">The plugin of the group.</param>
    /// <param name="devices">Of the four ranks.</param>
    /// <param name="shape">Of the whole layer.</param>
    /// <param name="type">Of the sums.</param>
    public static void Run(MoeHost host, string backend, string group, IReadOnlyList<MoeDevice> devices, MoeLayerShape shape, MoeElementType type)
    {
        using var weights = new RandomLayer(shape, seed: 38);
        MoeBuffer[] inputs = [.. Enumerable.Range(0, MaxTokens + 1).Select(tokens => RandomInput.Create(tokens, shape.HiddenSize, seed: tokens))];
        var firsts = new byte[TensorRanks * ExpertRanks][][];
        double error = 0;
        using (IMoeGroup ranks = host.CreateGroup(
            new MoeGroupRequest { Devices = devices, MaxTokens = MaxTokens, Width = shape.HiddenSize, ElementType = type }, group))
        {
            GroupLoadTests.Run(ranks, member =>
            {
                var options = new MoeLayerOptions { MaxTokens = MaxTokens, OutputType = type, Part = MoePart.OfRank(member.Rank, TensorRanks, ExpertRanks) };
                using MoeLayer layer = host.CreateLayer(
                    new MoeLayerRequest { Shape = shape, Backend = backend, Device = member.Device, Options = options }, weights.Source);
                Volatile.Write(ref error, layer.Method.Numerics.RelativeError);
                using MoeForwardState state = layer.CreateState(member);
                firsts[member.Rank] = Repeat(layer, state, member, inputs);
            });
        }

        Assert.All(firsts, own => Assert.Equal(firsts[0], own));
        for (int tokens = 1; tokens <= MaxTokens; tokens++)
        {
            using MoeBuffer output = MoeBuffer.OnHost(type, tokens, shape.HiddenSize);
            Bytes(output, tokens, bytes => firsts[0][tokens].CopyTo(bytes));
            OracleResult expected = MoeOracle.Compute(shape, weights.Source, inputs[tokens].View, cancellationToken: TestContext.Current.CancellationToken);

            // Each rank rounds its part before the sum, as one device does not.
            Assert.InRange(TensorDifference.Measure(output.View, expected).RelativeError, 0, error * Math.Sqrt(devices.Count));
        }

        Array.ForEach(inputs, input => input.Dispose());
    }

    private static byte[][] Repeat(MoeLayer layer, MoeForwardState state, IMoeCommunicator member, MoeBuffer[] inputs)
    {
        IMoeMemory memory = layer.Memory;
        MoeElementType type = member.Request.ElementType;
        int width = member.Request.Width;
        using MoeBuffer found = MoeBuffer.OnHost(type, MaxTokens, width);
        using var output = new MoeBuffer(memory, type, MaxTokens, width);
        MoeBuffer[] given = [.. inputs.Select(input => new MoeBuffer(memory, MoeElementType.BFloat16, input.View.Rows, width))];
        nint stream = memory.CreateStream();
        try
        {
            for (int tokens = 1; tokens < inputs.Length; tokens++)
            {
                memory.CopyIn(given[tokens].View.Address, inputs[tokens].View.Address, tokens * inputs[tokens].View.RowBytes, stream);
            }

            var firsts = new byte[MaxTokens + 1][];
            var random = new Random(GroupLoadTests.Seed);
            for (int call = 0; call < GroupLoadTests.Calls; call++)
            {
                // Each number once, and any afterwards.
                int tokens = call <= MaxTokens ? call : random.Next(MaxTokens + 1);
                layer.Forward(state, new MoeLayerCall { Input = given[tokens].View, Output = output.View.FirstRows(tokens), Stream = stream });
                if (tokens > 0)
                {
                    memory.CopyOut(found.View.Address, output.View.Address, tokens * found.View.RowBytes, stream);
                }

                layer.Synchronize(stream);
                Bytes(found, tokens, bytes =>
                {
                    firsts[tokens] ??= bytes.ToArray();
                    Assert.True(bytes.SequenceEqual(firsts[tokens]), $"forward {call}, of {tokens} tokens, on rank {member.Rank}");
                });
            }

            return firsts;
        }
        finally
        {
            memory.DestroyStream(stream);
            Array.ForEach(given, buffer => buffer.Dispose());
        }
    }

    private delegate void OfBytes(Span<byte> bytes);

    private static unsafe void Bytes(MoeBuffer dense, int rows, OfBytes use) => use(new Span<byte>((void*)dense.View.Address, checked((int)(rows * dense.View.RowBytes))));
}
