using Moe.Plugins.Checkpoints;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>A CUDA device, or several that share a model.</summary>
internal sealed class CudaPlatform(IReadOnlyList<MoeDevice> devices, KernelCompilerOptions? compiler) : IModelPlatform
{
    /// <summary>For kernels, cuBLAS and what the driver needs.</summary>
    private const long Reserve = 512L << 20;

    /// <summary>The first one whose tensor cores multiply BF16.</summary>
    private const int OldestArchitecture = 80;

    private const int SizeUnit = 8;
    private const int MostHidden = 8192;
    private static readonly int[] HeadSizes = [32, 64];

    public IReadOnlyList<MoeDevice> Devices => devices;

    public bool IsCut => true;

    public MoeLayerRequest Place(IMoeHost host, MoeLayerRequest request) =>
        request.Device is null && host.Explain(request).Selected?.Device is { Kind: MoeDeviceKind.Cuda } other && other != devices[0]
            ? request with { Device = devices[0] }
            : request;

    public void Check(IMoeHost host, GptOssConfig config, GptOssOptions options, RankPlan plan, MoeLayerRequest[] requests, Checkpoint checkpoint)
    {
        Check(config, options, plan);
        long experts = requests.Where(request => host.Explain(request).Selected?.Device is { Kind: MoeDeviceKind.Cuda }).Sum(request => ExpertBytes.Of(request.Shape));
        for (int rank = 0; rank < plan.Count; rank++)
        {
            MoeDevice device = plan.Devices[rank];
            using CudaContext context = Open(device);
            if (!options.ChecksMemory)
            {
                continue;
            }

            GptOssConfig share = new ModelShare(config, rank, plan.Count).Config;
            long needed = DeviceModel.ByteCountOf(share) + (CachePool.PositionBytes(share) * options.MaxContext) + (experts / plan.Count) + Reserve;
            long free = context.GetFreeMemory();
            if (needed > free)
            {
                throw new MoeException(
                    MoeReason.OutOfMemory,
                    $"'{checkpoint.Path}' needs {needed / 1e9:0.0} GB of {device}'s memory with a context of {options.MaxContext}, and {free / 1e9:0.0} GB are free. "
                    + "A smaller context, or expert layers on the processor, need less.");
            }
        }
    }

    public IModelEngine Load(
        ModelTensors tensors,
        GptOssConfig config,
        IReadOnlyList<ExpertLayer> experts,
        ModelRanks ranks,
        GptOssOptions options,
        LoadProgress progress,
        CancellationToken cancellationToken)
    {
        var made = new DeviceForward?[ranks.Count];
        try
        {
            ranks.Run(rank =>
            {
                var share = new ModelShare(config, rank, ranks.Count);
                made[rank] = Load(ranks.Plan.Devices[rank], tensors, share, experts, ranks.Member(rank), options, progress, cancellationToken);
            });
            return new CudaEngine(made!, ranks, config, experts, options);
        }
        catch (Exception exception)
        {
            Array.ForEach(made, device => device?.Dispose());
            throw exception is CudaException cuda ? CudaFault.Explain(cuda) : exception;
        }
    }

    private DeviceForward Load(
        MoeDevice device,
        ModelTensors tensors,
        ModelShare share,
        IReadOnlyList<ExpertLayer> experts,
        IMoeCommunicator? member,
        GptOssOptions options,
        LoadProgress progress,
        CancellationToken cancellationToken)
    {
        CudaContext context = Open(device);
        KernelLibrary? library = null;
        DeviceModel? model = null;
        try
        {
            library = new KernelLibrary(context, new KernelCompiler(compiler), typeof(CudaPlatform).Assembly);
            var kernels = new ModelKernels(library, share.Config, isPart: member is not null);
            model = new DeviceModel(context, tensors, share, options.MaxContext, progress, cancellationToken);
            return member is null
                ? new WholeForward(library, kernels, model, share, experts, options.ChunkTokens)
                : new PartForward(library, kernels, model, share, experts, member, options.ChunkTokens);
        }
        catch
        {
            model?.Dispose();
            library?.Dispose();
            context.Dispose();
            throw;
        }
    }

    internal static void Check(GptOssConfig config, GptOssOptions options, RankPlan plan)
    {
        Require(options.ActivationType == MoeElementType.BFloat16, $"{nameof(options.ActivationType)} is {options.ActivationType}; BFloat16 is expected on a CUDA device");
        Require(options.CacheType == MoeElementType.BFloat16, $"{nameof(options.CacheType)} is {options.CacheType}; BFloat16 is expected on a CUDA device");
        Require(
            config.HiddenSize % SizeUnit == 0 && config.HiddenSize <= MostHidden,
            $"The hidden size is {config.HiddenSize}; a multiple of {SizeUnit} up to {MostHidden} is expected on a CUDA device");
        Require(HeadSizes.Contains(config.HeadSize), $"The head size is {config.HeadSize}; {string.Join(" or ", HeadSizes)} is expected on a CUDA device");
        Require(
            ModelKernels.RowsOfTile % config.GroupSize == 0,
            $"{config.GroupSize} query heads share a key-value head; 1, 2, 4, 8 or 16 are expected on a CUDA device");
        string? refusal = ModelShare.Refuse(config, plan.Count);
        Require(refusal is null, refusal ?? "");

        // Ranks on one GPU were seen to wait for each other until the group's time was up. What would explain it, and was not traced: kernels, cuBLAS's among them,
        // are loaded at their first launch, for which the driver may wait for all that runs in the context; a reduction runs there until another rank has
        // launched its own, and that launch waits for the context. On GPUs of their own a rank's context holds only reductions that all ranks launch before
        // they come to what is loaded. A launch that begins early cannot take the places of a reduction's blocks either: it begins once all of them run.
        Require(
            plan.Devices.Distinct().Count() == plan.Count,
            $"The ranks are on {string.Join(", ", plan.Devices)}; a GPU of its own is expected for each of them");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new MoeException(MoeReason.Configuration, $"{message}.");
        }
    }

    private static CudaContext Open(MoeDevice place)
    {
        if (!CudaDriver.TryLoad(out string? reason))
        {
            throw new MoeException(MoeReason.NoDevice, reason);
        }

        try
        {
            CudaDevice device = CudaDevice.Get(place.Ordinal);
            return device.Architecture.Number >= OldestArchitecture
                ? CudaContext.RetainPrimary(device)
                : throw new MoeException(MoeReason.DeviceUnsupported, $"{device.Name} is {device.Architecture}; sm_{OldestArchitecture} or newer is needed.");
        }
        catch (CudaException exception)
        {
            throw new MoeException(MoeReason.NoDevice, exception.Message, exception);
        }
    }
}
