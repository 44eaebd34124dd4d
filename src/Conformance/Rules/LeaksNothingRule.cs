using System.Diagnostics;

namespace Moe.Plugins.Conformance;

internal sealed class LeaksNothingRule() : ConformanceRule(
    "leaks-nothing", "Layers and workspaces that were disposed, and forwards that are done, leave the process no larger than it was.")
{
    private const int Rounds = 40;
    private const int Forwards = 8;
    private const int Tries = 3;

    /// <summary>What a process takes and gives back without anybody's fault.</summary>
    private const long Slack = 24L << 20;

    internal override void Check(RuleRun run)
    {
        // Many rounds, so the smallest layer.
        foreach (MoeLayerShape shape in run.Shapes().OrderBy(shape => (long)shape.HiddenSize * shape.IntermediateSize * shape.ExpertCount).Take(1))
        {
            // Code, caches and the allocator's own reserves come first. Others in the process may grow it too, but not each time.
            Exercise(run, shape, Rounds / 4);
            long least = long.MaxValue;
            for (int i = 0; i < Tries && least > Slack; i++)
            {
                long before = ResidentBytes();
                Exercise(run, shape, Rounds);
                least = Math.Min(least, ResidentBytes() - before);
            }

            if (least > Slack)
            {
                run.Fail($"at most {Slack >> 20} MiB more after {Rounds} layers with {Forwards} forwards each", $"{least >> 20} MiB, each of {Tries} times");
            }
        }
    }

    private static void Exercise(RuleRun run, MoeLayerShape shape, int rounds)
    {
        for (int i = 0; i < rounds; i++)
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            using MoeBuffer input = layer.Input(KitShapes.MaxTokens, run.Subject.Seed);
            for (int forward = 0; forward < Forwards; forward++)
            {
                run.Forward(layer, workspace, input).Dispose();
            }
        }
    }

    private static long ResidentBytes()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        using var process = Process.GetCurrentProcess();
        return process.WorkingSet64;
    }
}
