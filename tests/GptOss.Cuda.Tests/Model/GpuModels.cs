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

    /// <summary>So many ranks, each on a GPU of its own.</summary>
    public static RankPlan Plan(int ranks) => new([.. Enumerable.Range(0, ranks).Select(MoeDevice.Cuda)], ranks, 1);

    /// <summary>A device for each rank; skips the test where there are not so many, or a group of them cannot be made.</summary>
    public static IReadOnlyList<MoeDevice> Devices(int ranks)
    {
        RequireDevice();
        Assert.SkipUnless(CudaDevice.Count >= ranks, $"There are {CudaDevice.Count} GPUs, and {ranks} are needed.");
        IReadOnlyList<MoeDevice> devices = Plan(ranks).Devices;
        using IMoeGroup? group = TryCreate(new MoeGroupRequest { Devices = devices, MaxTokens = 1, Width = 8 }, out string refusal);
        Assert.SkipWhen(group is null, refusal);
        return devices;
    }

    public static CudaEngine EngineOf(GptOssModel model) => (CudaEngine)model.Engine;

    private static IMoeGroup? TryCreate(MoeGroupRequest request, out string refusal)
    {
        try
        {
            refusal = "";
            return Auto.Value.CreateGroup(request);
        }
        catch (MoeException exception)
        {
            refusal = exception.Message;
            return null;
        }
    }
}
