using Moe.Plugins.Cuda;
using Moe.Plugins.GptOss.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>Loads models onto the first GPU; skips a test where there is none, or no compiler.</summary>
internal static class GpuModels
{
    /// <summary>What BF16 may be away from float32, all positions together, where it moves no token to another expert.</summary>
    public const double BrainError = 2e-2;

    /// <summary>
    /// The same of the tiny model, whose router is random and narrow: some tokens go elsewhere. The smallest mistake that there is in attention, a
    /// sink that is scaled, costs twice as much.
    /// </summary>
    public const double TinyError = 6e-2;

    private static readonly Lazy<MoeHost> Auto = new(() => MoeHost.Create(new MoeOptions()));

    public static void RequireDevice()
    {
        Assert.SkipUnless(CudaDriver.TryLoad(out string? reason), reason ?? "");
        Assert.SkipUnless(Nvrtc.TryLoad(null, out string? missing), missing ?? "");
    }

    public static GptOssModel Load(Action<GptOssOptions>? configure = null, MoeHost? host = null)
    {
        RequireDevice();
        var options = new GptOssOptions { Model = Golden.Folder, MaxContext = 1024 }.UseCuda();
        configure?.Invoke(options);
        return GptOssModel.Load(host ?? Auto.Value, options, cancellationToken: TestContext.Current.CancellationToken);
    }

    public static CudaEngine EngineOf(GptOssModel model) => (CudaEngine)model.Engine;
}
