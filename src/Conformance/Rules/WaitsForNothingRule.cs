using System.Diagnostics;

namespace Moe.Plugins.Conformance;

/// <summary>
/// Puts work on a stream that lasts long enough to be timed, a forward behind it, and sees how much of that work is still to do when the
/// forward has returned. One that waits for its stream, or copies something to the host, returns when the work is done.
/// </summary>
internal sealed class WaitsForNothingRule() : ConformanceRule(
    "waits-for-nothing", "A forward is enqueued without waiting: it returns while earlier work on its stream still runs.")
{
    private const long WorkBytes = 256L << 20;

    /// <summary>Long against what it takes to enqueue a forward, and against what a busy machine adds to it.</summary>
    private static readonly TimeSpan Enough = TimeSpan.FromMilliseconds(25);

    /// <summary>Enough for memory of 8 TB/s, and about as many as a driver queues before it makes its callers wait.</summary>
    private const int MostPieces = 1024;

    private const int Tries = 4;

    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            IMoeMemory memory = layer.Method.Memory;
            nint stream = memory.CreateStream();
            if (stream == 0)
            {
                run.NotSupported("the backend has no streams: what a forward enqueues is done when it returns");
                return;
            }

            nint work = memory.Allocate(WorkBytes);
            try
            {
                int pieces = CountPieces(memory, work, stream);
                if (pieces == 0)
                {
                    run.NotSupported("the backend's memory finishes its work before its calls return, so that nothing is ahead of a forward");
                    return;
                }

                foreach (int tokens in new[] { 1, KitShapes.MaxTokens })
                {
                    CheckForward(run, layer, tokens, () => Enqueue(memory, work, pieces, stream), stream);
                }
            }
            finally
            {
                memory.Synchronize(stream);
                memory.Free(work);
                memory.DestroyStream(stream);
            }
        }
    }

    private static void CheckForward(RuleRun run, LayerUnderTest layer, int tokens, Action enqueueWork, nint stream)
    {
        IMoeMemory memory = layer.Method.Memory;
        using IMoeWorkspace workspace = layer.MakeWorkspace();
        using MoeBuffer input = layer.Input(tokens, run.Subject.Seed);
        using GuardedTensor routerInput = layer.Upload(input, layer.Config.Shape.HiddenSize, gap: 0);
        using GuardedTensor experts = layer.Upload(input, layer.Config.InputWidth, gap: 0);
        using GuardedTensor output = layer.MakeOutput(tokens, gap: 0);
        using GuardedTensor? tokenIds = layer.UploadTokenIds(tokens);
        MoeForwardArguments arguments = LayerUnderTest.Arguments(experts, routerInput, output, tokenIds, stream);

        // What is made at the first use, such as a kernel's code on the device, is no waiting of later forwards.
        workspace.Forward(arguments);
        memory.Synchronize(stream);

        // A busy machine may keep this thread from returning in time, but not each time.
        TimeSpan ahead = default;
        TimeSpan left = default;
        for (int i = 0; i < Tries && left <= ahead / 2; i++)
        {
            enqueueWork();
            ahead = WaitFor(memory, stream);
            enqueueWork();
            workspace.Forward(arguments);
            left = WaitFor(memory, stream);
        }

        if (left <= ahead / 2)
        {
            run.Fail(
                $"a return while most of {ahead.TotalMilliseconds:0} ms of earlier work is to be done ({tokens} tokens)",
                $"{left.TotalMilliseconds:0.0} ms of work that were left, after the best of {Tries} tries");
        }
    }

    /// <summary>How many pieces of work it takes to keep the stream busy; 0 where nothing does.</summary>
    private static int CountPieces(IMoeMemory memory, nint work, nint stream)
    {
        for (int pieces = 1; pieces <= MostPieces; pieces *= 2)
        {
            Enqueue(memory, work, pieces, stream);
            if (WaitFor(memory, stream) >= Enough)
            {
                return pieces;
            }
        }

        return 0;
    }

    private static void Enqueue(IMoeMemory memory, nint work, int pieces, nint stream)
    {
        for (int i = 0; i < pieces; i++)
        {
            memory.Zero(work, WorkBytes, stream);
        }
    }

    private static TimeSpan WaitFor(IMoeMemory memory, nint stream)
    {
        long start = Stopwatch.GetTimestamp();
        memory.Synchronize(stream);
        return Stopwatch.GetElapsedTime(start);
    }
}
