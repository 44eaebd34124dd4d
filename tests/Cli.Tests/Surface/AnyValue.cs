using System.Reflection;

namespace Moe.Plugins.Cli.Tests.Surface;

/// <summary>Arguments, members and carriers whose every value is right, and why.</summary>
internal static class AnyValue
{
    private const string Seed = "every number is a seed";
    private const string Text = "a text may be empty";
    private const string Asked = "it is a question, whose answer is no";
    private const string Empty = "it is empty unless somebody says something";
    private const string Library = "what is no library is the answer, with the reason";

    /// <summary>By <c>Type.Method.argument</c>, <c>Type.Member</c> or <c>Type</c>.</summary>
    public static IReadOnlyDictionary<string, string> Reasons { get; } = new Dictionary<string, string>
    {
        ["MoeBFloat16.FromSingle.value"] = "NaN is a number of both formats",
        ["MoeProbeResult.Supported.score"] = "scores are compared, and nothing else",
        ["MoeProbeResult.Supported.message"] = Text,
        ["MoeProbeResult.Unsupported.reason"] = "a plugin of a newer contract may know more reasons",
        ["MoeLayerRequest.Name"] = Empty,
        ["MoeRendezvousOptions.Job"] = Empty,
        ["MoeDevice"] = "it names a device, which may not be there: probes answer",
        ["MoeProbeRequest"] = "a backend answers, and never throws: the rule unknown-is-refused asks each about what there is not",
        ["MoeLayer.MultipliesFp8.tokens"] = Asked,
        ["MoeRendezvous.Abort.reason"] = "a plugin of a newer contract may know more reasons",
        ["MoeRendezvous.Abort.message"] = Text,
        ["RandomInput.Create.seed"] = Seed,
        ["RandomLayer..ctor.seed"] = Seed,
        ["ConformanceSubject.Seed"] = Seed,
        ["ConformanceSubject.Name"] = Empty,
        ["ConformanceSubject.Command"] = Text,
        ["Checkpoint.TryGetTensor.name"] = Asked,
        ["SafetensorsFile.TryGetTensor.name"] = Asked,
        ["GptOssTokenizer.Encode.text"] = Text,
        ["GptOssTokenizer.Bytes.id"] = "an id that means nothing has no bytes",
        ["GptOssTokenizer.IsSpecial.id"] = Asked,
        ["GptOssTokenizer.IsReserved.id"] = "it is a question, whose answer is yes: it means nothing",
        ["GptOssSampling.Seed"] = Seed,
        ["GptOssInput"] = "a batch's tokens are checked against a model, which tests of the model do",
        ["CudaExperts.MultipliesFp8.tokens"] = Asked,
        ["Bf16Experts.Reads.format"] = Asked,
        ["ExpertRows"] = "it is what one kernel leaves to the next within a forward",
        ["KernelSource.FromText.text"] = Text,
        ["KernelHeader.Text"] = Text,
        ["Nvrtc.TryLoad.libraryPath"] = Library,
        ["CudaDriver.TryLoad.libraryPath"] = Library,
        ["CudaContext.CreateStream.priority"] = "the driver takes the nearest that it has",
        ["CudaDim3"] = "the driver refuses what its device cannot launch",
        ["CudaLaunchConfig"] = "the driver refuses what its device cannot launch",
    };

    public static bool Is(MethodBase method, ParameterInfo parameter) => Reasons.ContainsKey(Name(method, parameter));

    public static bool Is(PropertyInfo member) => Reasons.ContainsKey(Name(member));

    public static bool Is(Type carrier) => Reasons.ContainsKey(carrier.Name);

    public static string Name(MethodBase method, ParameterInfo parameter) => $"{method.DeclaringType!.Name}.{method.Name}.{parameter.Name}";

    public static string Name(PropertyInfo member) => $"{member.DeclaringType!.Name}.{member.Name}";
}
