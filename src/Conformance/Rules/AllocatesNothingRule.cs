namespace Moe.Plugins.Conformance;

internal sealed class AllocatesNothingRule() : ConformanceRule("allocates-nothing", "A forward allocates no managed memory, once it has run.")
{
    private const int Runs = 16;
    private const int Tries = 4;

    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            foreach (int tokens in new[] { 1, KitShapes.MaxTokens })
            {
                using MoeBuffer input = layer.Input(tokens, run.Subject.Seed);
                using GuardedTensor routerInput = layer.Upload(input, shape.HiddenSize, gap: 0);
                using GuardedTensor experts = layer.Upload(input, layer.Config.InputWidth, gap: 0);
                using GuardedTensor output = layer.MakeOutput(tokens, gap: 0);
                using GuardedTensor? tokenIds = layer.UploadTokenIds(tokens);
                MoeForwardArguments arguments = LayerUnderTest.Arguments(experts, routerInput, output, tokenIds, stream: 0);
                for (int i = 0; i < Runs; i++)
                {
                    workspace.Forward(arguments);
                }

                // The runtime itself may allocate as it compiles a method again, but not each time.
                long bytes = long.MaxValue;
                for (int i = 0; i < Tries && bytes > 0; i++)
                {
                    long before = GC.GetAllocatedBytesForCurrentThread();
                    for (int forward = 0; forward < Runs; forward++)
                    {
                        workspace.Forward(arguments);
                    }

                    bytes = Math.Min(bytes, GC.GetAllocatedBytesForCurrentThread() - before);
                }

                layer.Method.Memory.Synchronize(0);
                if (bytes > 0)
                {
                    run.Fail("0 bytes", $"{bytes} in {Runs} forwards of {tokens} tokens");
                }
            }
        }
    }
}
