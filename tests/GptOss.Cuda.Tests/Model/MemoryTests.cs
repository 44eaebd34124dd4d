using Moe.Plugins.Cuda;
using Moe.Plugins.GptOss.Tests;
using Moe.Plugins.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

[Collection(Alone.Name)]
public sealed class MemoryTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Others may use the device meanwhile; a leak would show in every round.</summary>
    [Fact]
    public void Many_answers_take_no_more_memory_than_some()
    {
        using GptOssModel model = GpuModels.Load();
        using CudaContext context = CudaContext.RetainPrimary(CudaDevice.Get(0));
        long before = long.MaxValue;
        long[] taken = [.. Enumerable.Range(0, 5).Select(_ =>
        {
            Answer(model, 1000);
            long after = context.GetFreeMemory(), less = before - after;
            before = after;
            return less;
        })];
        Assert.Contains(taken[1..], less => less <= 0);
    }

    private static void Answer(GptOssModel model, int times)
    {
        for (int answer = 0; answer < times; answer++)
        {
            using GptOssSequence sequence = model.CreateSequence();
            var options = new GptOssGeneration { MaxTokens = 3, Sampling = new GptOssSampling { Seed = answer, Temperature = answer % 2 } };
            int[] prompt = Golden.Text[..(1 + (answer % 50))];
            Assert.Equal(3, GptOssGenerator.Generate(model, sequence, prompt, options, Cancellation).Count());
        }
    }
}
