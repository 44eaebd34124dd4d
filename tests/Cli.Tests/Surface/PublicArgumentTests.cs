using System.Reflection;

namespace Moe.Plugins.Cli.Tests.Surface;

/// <summary>Whatever a program may call says by its name which argument is null where none may be.</summary>
public sealed class PublicArgumentTests
{
    private static readonly NullabilityInfoContext Annotations = new();

    [Theory]
    [InlineData("Abstractions", 15)]
    [InlineData("Host", 20)]
    [InlineData("Loading", 10)]
    [InlineData("Checkpoints", 5)]
    [InlineData("Conformance", 5)]
    [InlineData("GptOss", 15)]
    [InlineData("GptOss.Cuda", 1)]
    [InlineData("Kernels", 30)]
    [InlineData("Cuda", 15)]
    [InlineData("Cpu", 1)]
    [InlineData("Bf16", 1)]
    [InlineData("Mxfp4.Marlin", 1)]
    [InlineData("Mxfp4.Sm100", 1)]
    [InlineData("Collectives.Cuda", 1)]
    public void A_null_is_refused_by_the_arguments_name(string library, int least)
    {
        (MethodBase Method, ParameterInfo Parameter)[] cases = [.. PublicSurface.Arguments(library).Where(static one => MayNotBeNull(one.Parameter))];
        Assert.InRange(cases.Length, least, int.MaxValue);
        string[] wrong = [.. cases.Select(static one => Wrong(one.Method, one.Parameter)).OfType<string>()];
        Assert.True(wrong.Length == 0, string.Join('\n', wrong));
    }

    private static bool MayNotBeNull(ParameterInfo parameter) =>
        parameter.ParameterType is { IsValueType: false, IsPointer: false, IsByRef: false } && Annotations.Create(parameter).WriteState == NullabilityState.NotNull;

    private static string? Wrong(MethodBase method, ParameterInfo missing)
    {
        Exception? thrown = PublicSurface.Call(method, missing, null);
        return thrown is ArgumentException refused && refused.ParamName == missing.Name
            ? null
            : $"{method.DeclaringType!.Name}.{method.Name}, {missing.Name}: {thrown?.GetType().Name ?? "accepted"} {thrown?.Message}";
    }
}
