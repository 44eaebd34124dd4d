namespace Moe.Plugins.Conformance;

internal sealed class StatesAtOnceRule() : ConformanceRule(
    "states-at-once", "Threads with a workspace and a stream each run the same weights at once without disturbing each other.")
{
    private const int Threads = 4;
    private const int Rounds = 6;

    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            IMoeMemory memory = layer.Method.Memory;
            ForwardResult[] alone = new ForwardResult[Threads];
            MoeBuffer[] inputs = new MoeBuffer[Threads];
            using IMoeWorkspace first = layer.MakeWorkspace();
            for (int i = 0; i < Threads; i++)
            {
                inputs[i] = layer.Input(3 + (9 * i), run.Subject.Seed + i);
                alone[i] = run.Forward(layer, first, inputs[i]);
            }

            string?[] differences = new string?[Threads];
            using var together = new Barrier(Threads);
            Thread[] threads = [.. Enumerable.Range(0, Threads).Select(i => new Thread(() => differences[i] = RunThread(layer, memory, inputs[i], alone[i], together)))];
            Array.ForEach(threads, thread => thread.Start());
            Array.ForEach(threads, thread => thread.Join());
            foreach (string difference in differences.OfType<string>())
            {
                run.Fail("the result that the thread gets alone", difference);
            }

            Array.ForEach(alone, result => result.Dispose());
            Array.ForEach(inputs, input => input.Dispose());
        }
    }

    private static string? RunThread(LayerUnderTest layer, IMoeMemory memory, MoeBuffer input, ForwardResult alone, Barrier together)
    {
        string? found = null;
        nint stream = 0;
        try
        {
            stream = memory.CreateStream();
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            together.SignalAndWait();
            for (int round = 0; round < Rounds && found is null; round++)
            {
                using ForwardResult result = layer.Forward(workspace, input, new ForwardOptions { Stream = stream });
                TensorDifference difference = TensorDifference.Measure(result.Output.View, alone.Output.View);
                found = difference.RelativeError <= layer.Method.Numerics.RelativeError
                    ? null
                    : $"a relative difference of {difference.RelativeError:0.0e0} in round {round + 1}";
            }
        }
        catch (Exception exception)
        {
            found = ExceptionText.NameAndMessage(exception);
            together.RemoveParticipant();
        }
        finally
        {
            memory.DestroyStream(stream);
        }

        return found;
    }
}
