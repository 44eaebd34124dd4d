// A program of somebody who has the packages and nothing else: consumer PLUGINS CHECKPOINT STAGING.
using Moe.Plugins;
using Moe.Plugins.Checkpoints;
using Moe.Plugins.Cuda;

await using var host = MoeHost.Create(new MoeOptions { PluginFolders = [args[0]], StagingFolder = args[2], Device = "cpu" });
using Checkpoint checkpoint = Checkpoint.Open(args[1]);
CheckpointLayer weights = checkpoint.MoeLayers[0];
using MoeBuffer stored = checkpoint.ReadTensor("input");
MoeTensorView tokens = stored.View;
var request = new MoeLayerRequest { Shape = weights.Shape, Options = new MoeLayerOptions { MaxTokens = tokens.Rows } };
MoeSelectionReport report = host.Explain(request);
Console.WriteLine(report.Sentence);
foreach (MoePluginStep step in host.Plugins.Single(plugin => plugin.Id == "Cpu").Steps)
{
    Console.WriteLine($"{step.Step}: {step.Sentence}");
}

using MoeLayer layer = host.CreateLayer(request, weights.Source);
using MoeForwardState state = layer.CreateState();
var output = new MoeTensorView(layer.Method.Memory.Allocate(tokens.Rows * tokens.RowBytes), MoeDevice.Cpu, tokens.ElementType, tokens.Rows, tokens.Columns);
layer.Forward(state, new MoeLayerCall { Input = tokens, Output = output });
Console.WriteLine($"{report.Selected!.Id} ran {tokens.Rows} tokens of {tokens.Columns} values.");
layer.Method.Memory.Free(output.Address);
Console.WriteLine(CudaDriver.TryLoad(out string? reason) ? $"CUDA: {CudaDevice.Count} devices" : $"CUDA: {reason}");
