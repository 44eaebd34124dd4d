using System.Globalization;
using Moe.Plugins.Cuda;
using Moe.Plugins.GptOss.Tests;
using Moe.Plugins.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>Answers again and again. <c>MOE_ANSWERS</c> asks for more of them.</summary>
[Collection(Alone.Name)]
public sealed class MemoryTests
{
    private const int Rounds = 5;

    /// <summary>What the runtime may keep for itself.</summary>
    private const long HeapSlack = 4 << 20;

    private static readonly int Answers =
        int.TryParse(Environment.GetEnvironmentVariable("MOE_ANSWERS"), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : 2000;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Others may use the device meanwhile; a leak would show in every round.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Many_answers_take_no_more_memory_than_some(int ranks)
    {
        IReadOnlyList<MoeDevice> devices = ranks == 1 ? [MoeDevice.Cuda(0)] : GpuModels.Devices(ranks);
        using GptOssModel model = GpuModels.Load(options => options.UseCuda(devices));
        using CudaContext context = CudaContext.RetainPrimary(CudaDevice.Get(0));
        Answer(model, 100);
        long free = context.GetFreeMemory(), heap = GC.GetTotalMemory(forceFullCollection: true);
        var taken = new List<long>();
        var grown = new List<long>();
        for (int round = 0; round < Rounds; round++)
        {
            Answer(model, Answers / Rounds);
            long after = context.GetFreeMemory(), heapAfter = GC.GetTotalMemory(forceFullCollection: true);
            taken.Add(free - after);
            grown.Add(heapAfter - heap);
            free = after;
        }

        Assert.Contains(taken, less => less <= 0);
        Assert.InRange(grown[^1] - grown[0], long.MinValue, HeapSlack);
    }

    private static void Answer(GptOssModel model, int times)
    {
        for (int answer = 0; answer < times; answer++)
        {
            using GptOssSequence sequence = model.CreateSequence();
            var options = new GptOssGeneration { MaxTokens = 3, Sampling = new GptOssSampling { Seed = answer, Temperature = answer % 2, TopP = answer % 4 == 3 ? 0.9 : 1 } };
            int[] prompt = Golden.Text[..(1 + (answer % 50))];
            Assert.Equal(3, GptOssGenerator.Generate(model, sequence, prompt, options, Cancellation).Count());
        }
    }
}
