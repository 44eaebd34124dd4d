using Moe.Plugins;
using Moe.Plugins.Checkpoints;

// The experts run wherever a backend runs them; who gets which token is decided here.
await using var host = MoeHost.Create(new MoeOptions());
using var checkpoint = Checkpoint.Open(Path.Combine(AppContext.BaseDirectory, "pad-hidden.safetensors"));
CheckpointLayer weights = checkpoint.MoeLayers[0];
using MoeBuffer stored = checkpoint.ReadTensor("input");
MoeTensorView tokens = stored.View;
(int[] ids, float[] topKWeights) = SigmoidRouter.Route(weights.Shape, weights.Source, tokens);

using MoeLayer layer = host.CreateLayer(
    new MoeLayerRequest { Shape = weights.Shape, Options = new MoeLayerOptions { MaxTokens = tokens.Rows } }, weights.Source);
using MoeForwardState state = layer.CreateState();
IMoeMemory memory = layer.Method.Memory;
int topK = weights.Shape.TopK;
MoeTensorView input = Allocate(MoeElementType.BFloat16, tokens.Columns);
MoeTensorView output = Allocate(MoeElementType.BFloat16, tokens.Columns);
MoeTensorView idView = Allocate(MoeElementType.Int32, topK);
MoeTensorView weightView = Allocate(MoeElementType.Float32, topK);
byte[] result = new byte[output.Rows * output.RowBytes];
unsafe
{
    fixed (int* idPointer = ids)
    fixed (float* weightPointer = topKWeights)
    fixed (byte* resultPointer = result)
    {
        memory.CopyIn(input.Address, tokens.Address, tokens.Rows * tokens.RowBytes, stream: 0);
        memory.CopyIn(idView.Address, (nint)idPointer, ids.Length * sizeof(int), stream: 0);
        memory.CopyIn(weightView.Address, (nint)weightPointer, ids.Length * sizeof(float), stream: 0);
        layer.Forward(state, new MoeLayerCall
        {
            Input = input, Output = output, TopKIds = idView, TopKWeights = weightView, Routing = MoeRoutingSource.Caller,
        });
        memory.CopyOut((nint)resultPointer, output.Address, result.Length, stream: 0);
        memory.Synchronize(stream: 0);
    }
}

foreach (MoeTensorView view in new[] { input, output, idView, weightView })
{
    memory.Free(view.Address);
}

Console.WriteLine($"Token 0 went to experts {string.Join(", ", ids[..topK])} with weights {string.Join(", ", topKWeights[..topK])}.");
Console.WriteLine($"{tokens.Rows} tokens of {tokens.Columns} values; the first is {BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(result) << 16)}.");

MoeTensorView Allocate(MoeElementType type, int columns)
{
    long bytes = (long)tokens.Rows * columns * type.ByteSize();
    return new MoeTensorView(memory.Allocate(bytes), memory.Device, type, tokens.Rows, columns);
}
