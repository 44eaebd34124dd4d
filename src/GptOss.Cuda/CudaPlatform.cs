using Moe.Plugins.Checkpoints;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>A CUDA device.</summary>
internal sealed class CudaPlatform(int ordinal, KernelCompilerOptions? compiler) : IModelPlatform
{
    /// <summary>For kernels, cuBLAS and what the driver needs.</summary>
    private const long Reserve = 512L << 20;

    /// <summary>The first one whose tensor cores multiply BF16.</summary>
    private const int OldestArchitecture = 80;

    private const int SizeUnit = 8;
    private const int MostHidden = 8192;
    private const int RowsOfTile = 16;
    private static readonly int[] HeadSizes = [32, 64];

    public MoeDevice Device { get; } = MoeDevice.Cuda(ordinal);

    public MoeLayerRequest Place(IMoeHost host, MoeLayerRequest request) =>
        request.Device is null && host.Explain(request).Selected?.Device is { Kind: MoeDeviceKind.Cuda } other && other != Device
            ? request with { Device = Device }
            : request;

    public void Check(IMoeHost host, GptOssConfig config, GptOssOptions options, MoeLayerRequest[] requests, Checkpoint checkpoint)
    {
        Check(config, options);
        using CudaContext context = Open();
        if (!options.ChecksMemory)
        {
            return;
        }

        long experts = requests.Where(request => host.Explain(request).Selected?.Device == Device).Sum(request => ExpertBytes.Of(request.Shape));
        long needed = DeviceModel.ByteCountOf(config) + (CachePool.PositionBytes(config) * options.MaxContext) + experts + Reserve;
        long free = context.GetFreeMemory();
        if (needed > free)
        {
            throw new MoeException(
                MoeReason.OutOfMemory,
                $"'{checkpoint.Path}' needs {needed / 1e9:0.0} GB of {Device}'s memory with a context of {options.MaxContext}, and {free / 1e9:0.0} GB are free. "
                + "A smaller context, or expert layers on the processor, need less.");
        }
    }

    public IModelEngine Load(
        ModelTensors tensors,
        GptOssConfig config,
        IReadOnlyList<ExpertLayer> experts,
        GptOssOptions options,
        LoadProgress progress,
        CancellationToken cancellationToken)
    {
        CudaContext context = Open();
        KernelLibrary? library = null;
        DeviceModel? model = null;
        try
        {
            library = new KernelLibrary(context, new KernelCompiler(compiler), typeof(CudaPlatform).Assembly);
            var kernels = new ModelKernels(library, config);
            model = new DeviceModel(context, tensors, config, options.MaxContext, progress, cancellationToken);
            return new CudaEngine(library, kernels, model, config, experts, options);
        }
        catch (Exception exception)
        {
            model?.Dispose();
            library?.Dispose();
            context.Dispose();
            throw exception is CudaException cuda ? CudaFault.Explain(cuda) : exception;
        }
    }

    internal static void Check(GptOssConfig config, GptOssOptions options)
    {
        Require(options.ActivationType == MoeElementType.BFloat16, $"{nameof(options.ActivationType)} is {options.ActivationType}; BFloat16 is expected on a CUDA device");
        Require(options.CacheType == MoeElementType.BFloat16, $"{nameof(options.CacheType)} is {options.CacheType}; BFloat16 is expected on a CUDA device");
        Require(
            config.HiddenSize % SizeUnit == 0 && config.HiddenSize <= MostHidden,
            $"The hidden size is {config.HiddenSize}; a multiple of {SizeUnit} up to {MostHidden} is expected on a CUDA device");
        Require(HeadSizes.Contains(config.HeadSize), $"The head size is {config.HeadSize}; {string.Join(" or ", HeadSizes)} is expected on a CUDA device");
        Require(
            RowsOfTile % config.GroupSize == 0,
            $"{config.GroupSize} query heads share a key-value head; 1, 2, 4, 8 or 16 are expected on a CUDA device");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new MoeException(MoeReason.Configuration, $"{message}.");
        }
    }

    private CudaContext Open()
    {
        if (!CudaDriver.TryLoad(out string? reason))
        {
            throw new MoeException(MoeReason.NoDevice, reason);
        }

        try
        {
            CudaDevice device = CudaDevice.Get(ordinal);
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
