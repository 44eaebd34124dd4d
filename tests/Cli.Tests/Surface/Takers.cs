using Moe.Plugins.Checkpoints;
using Moe.Plugins.Conformance;
using Moe.Plugins.Cuda;
using Moe.Plugins.GptOss;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Cli.Tests.Surface;

/// <summary>Of each type that only carries values: one whose values are right, and who looks at them.</summary>
internal static class Takers
{
    private static readonly MoeLayerShape Shape = new() { HiddenSize = 64, IntermediateSize = 64, ExpertCount = 4, TopK = 2 };

    private static readonly MoeGroupRequest Group = new() { Devices = [MoeDevice.Cpu, MoeDevice.Cpu], MaxTokens = 4, Width = 8 };

    /// <summary>A layer with every part that a layer can have, its weights with a scale for each block.</summary>
    private static readonly RandomLayer Layer = new(
        new MoeLayerShape
        {
            HiddenSize = 64,
            IntermediateSize = 64,
            ExpertCount = 4,
            TopK = 2,
            WeightFormat = MoeWeightFormat.Fp8Block,
            HasExpertBias = false,
            Shared = new() { IntermediateSize = 64, Activation = MoeActivation.SiluGated, WeightFormat = MoeWeightFormat.BFloat16 },
            Latent = new() { Width = 64, WeightFormat = MoeWeightFormat.BFloat16 },
        },
        seed: 1);

    /// <summary>By type.</summary>
    public static IReadOnlyDictionary<Type, Taker> All { get; } = new Taker[]
    {
        Of(() => Shape, static shape => shape.Validate()),
        Of(static () => new MoeRouter(), static router => (Shape with { Router = router }).Validate()),
        Of(static () => new MoeSharedExperts { IntermediateSize = 64, Activation = MoeActivation.SiluGated, WeightFormat = MoeWeightFormat.BFloat16 }, static shared => (Shape with { Shared = shared }).Validate()),
        Of(static () => new MoeLatentExperts { Width = 64, WeightFormat = MoeWeightFormat.BFloat16, NormEpsilon = 1 }, static latent => (Shape with { Latent = latent }).Validate()),
        Of(static () => new MoePart(), static part => Shape.Slice(part)),
        Of(static () => new MoeLayerOptions(), static options => MoeLayerConfig.Create(Shape, (IMoeQuantMethod)PublicSurface.Make(typeof(IMoeQuantMethod))!, options)),
        Of(() => Group, static request => request.Validate()),
        Of(static () => new MoeLayerRequest { Shape = Shape }, static request => Use(Host, host => host.Explain(request))),
        Of(static () => new MoeOptions(), static options => MoeHost.Create(options).Dispose()),
        Of(static () => new MoeParallelOptions(), static options => MoeHost.Create(new MoeOptions { Parallel = options }).Dispose()),
        Of(
            static () => new MoeRendezvousOptions { Address = "localhost", Port = 1, Rank = 0, Count = 1 },
            static options => MoeRendezvous.Join(options).Dispose()),
        Of(static () => new CheckpointOptions(), static options => Checkpoint.Open(Cli.Golden("pad-hidden"), options).Dispose()),
        Of(
            static () => new ConformanceSubject { Backend = (IMoeBackend)PublicSurface.Make(typeof(IMoeBackend))! },
            static subject => ConformanceSuite.Run(subject, ["rounding-pure"])),
        Of(static () => new OracleOptions(), static options => Oracle(options)),
        Of(static () => new GptOssOptions { Model = "x" }, static options => GptOssModel.Load((IMoeHost)PublicSurface.Make(typeof(IMoeHost))!, options)),
        Of(static () => new GptOssGeneration(), static options => Generate(options)),
        Of(static () => new GptOssSampling(), static sampling => Generate(new GptOssGeneration { Sampling = sampling })),
        Of(
            static () => new GptOssChatOptions(),
            static options => new GptOssChatClient((GptOssModel)PublicSurface.Make(typeof(GptOssModel))!, (GptOssTokenizer)PublicSurface.Make(typeof(GptOssTokenizer))!, options)),
        Of(static () => new KernelCompilerOptions(), static options => _ = new KernelCompiler(options)),
        Of(
            static () => new KernelCompileOptions(),
            static options => new KernelCompiler(new KernelCompilerOptions { UseCache = false }).Compile(KernelSource.FromText("x.cu", "#error"), new CudaArchitecture(9, 0), options)),
        Of(static () => new KernelUnit("x.cu"), static unit => unit.Compile(new KernelCompiler(), new CudaArchitecture(9, 0), typeof(Takers).Assembly)),
        Of(static () => Mxfp4Variant.All[0], static variant => _ = new Mxfp4Plan(new CudaArchitecture(9, 0), Shape, variant)),
        Of(static () => Layer.Source, static source => source.Validate(Layer.Shape)),
        Of(static () => Layer.Source.GateUp, static matrix => (Layer.Source with { GateUp = matrix }).Validate(Layer.Shape)),
        Of(static () => Layer.Source.Shared!, static shared => (Layer.Source with { Shared = shared }).Validate(Layer.Shape)),
        Of(static () => Layer.Source.Latent!, static latent => (Layer.Source with { Latent = latent }).Validate(Layer.Shape)),
        Of(static () => new KernelHeader("x.cuh", "x"), static header => KernelSource.FromText("x.cu", "x", header)),
        Of(static () => new CudaArchitecture(9, 0), static architecture => new KernelCompiler(new KernelCompilerOptions { UseCache = false }).Compile(KernelSource.FromText("x.cu", "#error"), architecture)),
    }.ToDictionary(static taker => taker.Type);

    private static MoeHost Host()
    {
        var options = new MoeOptions { PluginFolders = [Path.Combine(AppContext.BaseDirectory, "plugins")] };
        return MoeHost.Create(options);
    }

    private static void Use(Func<MoeHost> make, Action<MoeHost> use)
    {
        using MoeHost host = make();
        use(host);
    }

    private static void Oracle(OracleOptions options)
    {
        using var layer = new RandomLayer(Shape, 1);
        using MoeBuffer input = RandomInput.Create(2, Shape.HiddenSize, 1);
        MoeOracle.Compute(Shape, layer.Source, input.View, options);
    }

    private static void Generate(GptOssGeneration options) =>
        GptOssGenerator.Generate((GptOssModel)PublicSurface.Make(typeof(GptOssModel))!, (GptOssSequence)PublicSurface.Make(typeof(GptOssSequence))!, [1], options);

    private static Taker Of<T>(Func<T> make, Action<T> take)
        where T : notnull => new(typeof(T), () => make(), value => take((T)value));
}

/// <summary>Who looks at a carrier's values.</summary>
/// <param name="Type">The carrier.</param>
/// <param name="Make">Makes one whose values are right.</param>
/// <param name="Take">Looks at one.</param>
internal sealed record Taker(Type Type, Func<object> Make, Action<object> Take);
