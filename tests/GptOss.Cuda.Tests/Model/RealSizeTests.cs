namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>Attention of the real sizes, on random tokens, against the processor's float32 at every position: within the window, beyond it, beyond the original context.</summary>
public sealed class RealSizeTests
{
    [Fact]
    public void Logits_are_the_processors_at_every_position()
    {
        GpuModels.RequireDevice();
        using var sizes = new RealSizes(length: 4300);
        using GptOssModel model = GpuModels.Load(sizes.Set);
        sizes.CheckPositions(model, steps: 200, piece: 40, largePiece: 3960);
        sizes.CheckTexts(model, texts: 32, apart: 37);
    }
}
