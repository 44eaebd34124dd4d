using Moe.Plugins.Conformance;

namespace Moe.Plugins.Tests;

/// <summary>Rows that stay away change no bit, whether the caller or the layer routes.</summary>
internal static class LeftOutTokens
{
    private const int MaxTokens = 12;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <summary>Runs forwards of a group that leaves out rows and of one that does not know of it, and compares.</summary>
    /// <param name="host">Has backends and groups.</param>
    /// <param name="backend">Of the layers.</param>
    /// <param name="group">The plugin of the group.</param>
    /// <param name="devices">Of the ranks.</param>
    /// <param name="tensorRanks">Ranks that share each expert.</param>
    /// <param name="shape">Of the whole layer, without shared experts.</param>
    /// <param name="type">Of the sums.</param>
    /// <param name="leavesOut">Whether the group does so.</param>
    public static void Run(
        MoeHost host, string backend, string group, IReadOnlyList<MoeDevice> devices, int tensorRanks, MoeLayerShape shape, MoeElementType type, bool leavesOut = true)
    {
        using var weights = new RandomLayer(shape, seed: 41);
        int ranks = devices.Count;
        int missing = 0;
        using var ready = new Barrier(ranks);
        using IMoeGroup members = host.CreateGroup(
            new MoeGroupRequest { Devices = devices, MaxTokens = ranks * MaxTokens, Width = shape.HiddenSize, ElementType = type }, group);
        GroupLoadTests.Run(members, member =>
        {
            var options = new MoeLayerOptions
            {
                MaxTokens = MaxTokens,
                OutputType = type,
                Part = MoePart.OfRank(member.Rank, tensorRanks, ranks / tensorRanks),
                DispatchTokens = true,
            };
            using MoeLayer layer = host.CreateLayer(
                new MoeLayerRequest { Shape = shape, Backend = backend, Device = member.Device, Options = options }, weights.Source);
            using var all = new ForgetfulMember(member, knowsExperts: false);
            using var some = new ForgetfulMember(member, knowsExperts: true);
            using MoeForwardState everywhere = layer.CreateState(all);
            using MoeForwardState leftOut = layer.CreateState(some);
            using var tensors = new Tensors(layer);

            // Nobody allocates while another rank may be waiting in a kernel.
            ready.SignalAndWait(Patience);
            foreach (int tokens in new[] { 3, MaxTokens, 0, 1, 2 })
            {
                using MoeBuffer input = RandomInput.Create(tokens, shape.HiddenSize, seed: 200 + member.Rank + tokens);
                tensors.Take(input);
                string expected = tensors.Run(everywhere, tokens, MoeRoutingSource.Router, asksForRouting: true);
                string routing = tensors.Routing(tokens);
                Assert.Equal(expected, tensors.Run(leftOut, tokens, MoeRoutingSource.Caller, asksForRouting: true));
                Assert.Equal(expected, tensors.Run(leftOut, tokens, MoeRoutingSource.Router, asksForRouting: false));
                tensors.Forget();
                Assert.Equal(expected, tensors.Run(leftOut, tokens, MoeRoutingSource.Router, asksForRouting: true));
                Assert.Equal(routing, tensors.Routing(tokens));
            }

            Assert.Equal(0, all.Missing);
            Interlocked.Add(ref missing, some.Missing);
            ready.SignalAndWait(Patience);
        });

        Assert.True(leavesOut ? missing > ranks * MaxTokens / 2 : missing == 0, $"{missing} rows stayed away");
    }

    /// <summary>What a rank's forwards read and write, allocated before any begins.</summary>
    private sealed class Tensors : IDisposable
    {
        private readonly MoeLayer _layer;
        private readonly MoeBuffer _input;
        private readonly MoeBuffer _output;
        private readonly MoeBuffer _ids;
        private readonly MoeBuffer _weights;
        private readonly nint _stream;

        public Tensors(MoeLayer layer)
        {
            MoeLayerShape shape = layer.Config.Shape;
            _layer = layer;
            _input = new MoeBuffer(layer.Memory, layer.Config.Options.InputType, MaxTokens, shape.HiddenSize);
            _output = new MoeBuffer(layer.Memory, layer.Config.Options.OutputType, MaxTokens, shape.HiddenSize);
            _ids = new MoeBuffer(layer.Memory, MoeElementType.Int32, MaxTokens, shape.TopK);
            _weights = new MoeBuffer(layer.Memory, MoeElementType.Float32, MaxTokens, shape.TopK);
            _stream = layer.Memory.CreateStream();
        }

        public void Take(MoeBuffer input)
        {
            if (input.View.Rows > 0)
            {
                _layer.Memory.CopyIn(_input.View.Address, input.View.Address, input.ByteCount, _stream);
                _layer.Memory.Synchronize(_stream);
            }
        }

        public void Forget()
        {
            _layer.Memory.Zero(_ids.View.Address, _ids.ByteCount, _stream);
            _layer.Memory.Zero(_weights.View.Address, _weights.ByteCount, _stream);
        }

        public string Run(MoeForwardState state, int tokens, MoeRoutingSource routing, bool asksForRouting)
        {
            _layer.Memory.Zero(_output.View.Address, _output.ByteCount, _stream);
            _layer.Forward(state, new MoeLayerCall
            {
                Input = _input.View.FirstRows(tokens),
                Output = _output.View.FirstRows(tokens),
                TopKIds = asksForRouting ? _ids.View.FirstRows(tokens) : default,
                TopKWeights = asksForRouting ? _weights.View.FirstRows(tokens) : default,
                Routing = routing,
                Stream = _stream,
            });
            _layer.Synchronize(_stream);
            return Bytes(_output, tokens);
        }

        public string Routing(int tokens) => Bytes(_ids, tokens) + Bytes(_weights, tokens);

        public void Dispose()
        {
            _layer.Memory.DestroyStream(_stream);
            Array.ForEach([_input, _output, _ids, _weights], buffer => buffer.Dispose());
        }

        private unsafe string Bytes(MoeBuffer buffer, int rows)
        {
            byte[] bytes = new byte[rows * buffer.View.RowBytes];
            fixed (byte* target = bytes)
            {
                if (rows > 0)
                {
                    _layer.Memory.CopyOut((nint)target, buffer.View.Address, bytes.Length, _stream);
                    _layer.Memory.Synchronize(_stream);
                }
            }

            return Convert.ToHexString(bytes);
        }
    }
}
