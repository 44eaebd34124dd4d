namespace Moe.Plugins.Conformance;

internal sealed class GraphReplaysRule() : ConformanceRule(
    "graph-replays", "A forward that was recorded, where the backend can record, reads what its buffers hold when it is replayed.")
{
    internal override unsafe void Check(RuleRun run)
    {
        if (run.Subject.Backend is not IMoeInstrumentedBackend instrumented)
        {
            run.NotSupported($"the backend is no {nameof(IMoeInstrumentedBackend)}");
            return;
        }

        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            IMoeMemory memory = layer.Method.Memory;
            using IMoeInstruments instruments = instrumented.CreateInstruments(layer.Device);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            foreach (int tokens in new[] { 1, 40 })
            {
                using MoeBuffer first = layer.Input(tokens, run.Subject.Seed);
                using MoeBuffer second = layer.Input(tokens, run.Subject.Seed + 1);
                using ForwardResult expected = run.Forward(layer, workspace, second);
                using GuardedTensor routerInput = layer.Upload(first, shape.HiddenSize, gap: 0);
                using GuardedTensor experts = layer.Upload(first, layer.Config.InputWidth, gap: 0);
                using GuardedTensor output = layer.MakeOutput(tokens, gap: 0);
                using GuardedTensor? tokenIds = layer.UploadTokenIds(tokens);
                using IMoeRecording recording = instruments.Record(
                    stream => workspace.Forward(LayerUnderTest.Arguments(experts, routerInput, output, tokenIds, stream)));
                recording.Replay();
                for (int row = 0; row < tokens; row++)
                {
                    memory.CopyIn(routerInput.View.RowAddress(row), second.View.RowAddress(row), second.View.RowBytes, 0);
                    memory.CopyIn(experts.View.RowAddress(row), second.View.RowAddress(row), second.View.RowBytes, 0);
                }

                memory.Synchronize(0);
                recording.Replay();
                MoeBuffer result = output.Download(shape.HiddenSize, out _);
                using var replayed = new ForwardResult(
                    result, MoeBuffer.OnHost(MoeElementType.Int32, 0, shape.TopK), MoeBuffer.OnHost(MoeElementType.Float32, 0, shape.TopK), null, null);
                run.RequireSame(layer, replayed, expected, "when it is replayed with other tokens");
            }
        }
    }
}
