using Moe.Plugins;
using Moe.Plugins.Checkpoints;

// The experts run wherever a backend runs them; who gets which token is decided here.
await using var host = MoeHost.Create(new MoeOptions());
// A layer, and tokens for it: FILE.safetensors, or without arguments the one that lies beside the program.
using var checkpoint = Checkpoint.Open(args.Length > 0 ? args[0] : Path.Combine(AppContext.BaseDirectory, "pad-hidden.safetensors"));
CheckpointLayer weights = checkpoint.MoeLayers[0];
using MoeBuffer stored = checkpoint.ReadTensor("input");
MoeTensorView tokens = stored.View;
using MoeLayer layer = host.CreateLayer(
    new MoeLayerRequest { Shape = weights.Shape, Options = new MoeLayerOptions { MaxTokens = tokens.Rows } }, weights.Source);
using MoeForwardState state = layer.CreateState();
int topK = weights.Shape.TopK;
using var input = new MoeBuffer(layer.Memory, MoeElementType.BFloat16, tokens.Rows, tokens.Columns);
using var output = new MoeBuffer(layer.Memory, MoeElementType.BFloat16, tokens.Rows, tokens.Columns);
using var idBuffer = new MoeBuffer(layer.Memory, MoeElementType.Int32, tokens.Rows, topK);
using var weightBuffer = new MoeBuffer(layer.Memory, MoeElementType.Float32, tokens.Rows, topK);
input.CopyFrom(tokens);
(int[] ids, float[] topKWeights) = SigmoidRouter.Route(weights.Shape, weights.Source, input.ToSingles());
idBuffer.CopyFrom(ids);
weightBuffer.CopyFrom(topKWeights);
layer.Forward(state, new MoeLayerCall
{
    Input = input.View,
    Output = output.View,
    TopKIds = idBuffer.View,
    TopKWeights = weightBuffer.View,
    Routing = MoeRoutingSource.Caller,
});

Console.WriteLine($"Token 0 went to experts {string.Join(", ", ids[..topK])} with weights {string.Join(", ", topKWeights[..topK])}.");
Console.WriteLine($"{tokens.Rows} tokens of {tokens.Columns} values; the first is {output.ToSingles()[0]}.");
