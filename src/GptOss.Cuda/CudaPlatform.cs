using Moe.Plugins.Checkpoints;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>A CUDA device, or several that share a model.</summary>
internal sealed class CudaPlatform(IReadOnlyList<MoeDevice> devices, KernelCompilerOptions? compiler) : IModelPlatform
{
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

    public IDisposable Begin() => new OpeningDevices(devices);

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
            long needed = MemoryNeed.Of(share, options, experts / plan.Count);
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

    public int LeastGroupRows(GptOssConfig config, RankPlan plan) => LogitGather.LeastGroupRows(new ModelShare(config, rank: 0, plan.Count));

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
        var library = new KernelLibrary(context, new KernelCompiler(compiler), typeof(CudaPlatform).Assembly);
        DeviceModel? model = null;
        CudaBlas? blas = null;
        ModelKernels? kernels = null;
        try
        {
            LoadWork.Run(
                [
                    token => model = new DeviceModel(library, tensors, share, options.MaxContext, progress, token),
                    _ => kernels = new ModelKernels(library, share.Config, isPart: member is not null),
                    _ => blas = CreateBlas(context),
                ],
                cancellationToken);
            return member is null
                ? new WholeForward(library, kernels!, model!, blas, share, experts, options.ChunkTokens)
                : new PartForward(library, kernels!, model!, blas, share, experts, member, options.ChunkTokens);
        }
        catch
        {
            model?.Dispose();
            if (blas is not null)
            {
                using CudaContextScope scope = context.MakeCurrent();
                blas.Dispose();
            }

            library.Dispose();
            context.Dispose();
            throw;
        }
    }

    private static CudaBlas? CreateBlas(CudaContext context)
    {
        using CudaContextScope scope = context.MakeCurrent();
        return CudaBlas.TryCreate();
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

    /// <summary>Devices that are being opened, all at once, and stay open until this is disposed.</summary>
    private sealed class OpeningDevices : IDisposable
    {
        private readonly CudaContext?[] _contexts;
        private readonly Thread[] _threads;

        public OpeningDevices(IReadOnlyList<MoeDevice> devices)
        {
            _contexts = new CudaContext?[devices.Count];
            _threads = [.. devices.Select((device, i) => new Thread(() => TryOpen(device, i)) { IsBackground = true, Name = $"Opening {device}" })];
            Array.ForEach(_threads, thread => thread.Start());
        }

        public void Dispose()
        {
            Array.ForEach(_threads, thread => thread.Join());
            Array.ForEach(_contexts, context => context?.Dispose());
        }

        private void TryOpen(MoeDevice device, int i)
        {
            try
            {
                _contexts[i] = Open(device);
            }
            catch (Exception)
            {
                // The check says what is wrong with it. On this thread nobody would catch it, and the process would end.
            }
        }
    }
}
