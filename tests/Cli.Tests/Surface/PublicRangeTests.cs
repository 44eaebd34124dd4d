using System.Reflection;

namespace Moe.Plugins.Cli.Tests.Surface;

/// <summary>Whatever a program may call says by its name which argument, or which member of one, is none that there can be (docs/design.md, Arguments).</summary>
public sealed class PublicRangeTests
{
    private static readonly string[] Libraries = ["Abstractions", "Host", "Loading", "Checkpoints", "Conformance", "GptOss", "GptOss.Cuda", "Kernels", "Cuda"];

    [Theory]
    [InlineData("Abstractions", 70)]
    [InlineData("Host", 10)]
    [InlineData("Loading", 4)]
    [InlineData("Checkpoints", 10)]
    [InlineData("Conformance", 15)]
    [InlineData("GptOss", 10)]
    [InlineData("GptOss.Cuda", 2)]
    [InlineData("Kernels", 50)]
    [InlineData("Cuda", 40)]
    [InlineData("Cpu", 0)]
    [InlineData("Bf16", 0)]
    [InlineData("Mxfp4.Marlin", 0)]
    [InlineData("Mxfp4.Sm100", 8)]
    [InlineData("Collectives.Cuda", 0)]
    public void A_value_out_of_range_is_refused_by_the_arguments_name(string library, int least)
    {
        (MethodBase Method, ParameterInfo Parameter, object Value)[] cases =
        [
            .. from one in PublicSurface.Arguments(library)
               where !one.Parameter.IsOut
               from value in BadValues.Of(one.Parameter.ParameterType)
               select (one.Method, one.Parameter, value),
        ];
        Assert.InRange(cases.Length, least, int.MaxValue);
        string[] wrong = [.. cases.Where(static one => !AnyValue.Is(one.Method, one.Parameter)).Select(static one => Wrong(one.Method, one.Parameter, one.Value)).OfType<string>()];
        Assert.True(wrong.Length == 0, string.Join('\n', wrong));
    }

    [Fact]
    public void A_member_out_of_range_is_refused_by_its_name()
    {
        string[] wrong =
        [
            .. from taker in Takers.All.Values
               from member in PublicSurface.Members(taker.Type)
               where !AnyValue.Is(member)
               from value in BadValues.Of(member)
               select Wrong(taker, member, value) into one
               where one is not null
               select one,
        ];
        Assert.True(wrong.Length == 0, string.Join('\n', wrong));
    }

    [Fact]
    public void Every_carrier_has_a_taker_who_finds_nothing_wrong_with_right_values()
    {
        string[] missing = [.. PublicSurface.TakenCarriers(Libraries).Where(static type => !Takers.All.ContainsKey(type) && !AnyValue.Is(type)).Select(static type => type.FullName!)];
        Assert.True(missing.Length == 0, string.Join('\n', missing));
        string[] refused = [.. Takers.All.Values.Where(static taker => Record.Exception(() => taker.Take(taker.Make())) is ArgumentException).Select(static taker => taker.Type.Name)];
        Assert.True(refused.Length == 0, string.Join('\n', refused));
    }

    [Fact]
    public void What_any_value_is_right_for_is_there()
    {
        string[] there =
        [
            .. Libraries.SelectMany(PublicSurface.Arguments).Select(static one => AnyValue.Name(one.Method, one.Parameter)),
            .. Libraries.SelectMany(PublicSurface.Types).SelectMany(static type => PublicSurface.Members(type).Select(AnyValue.Name).Append(type.Name)),
        ];
        Assert.Empty(AnyValue.Reasons.Keys.Except(there));
    }

    private static string? Wrong(MethodBase method, ParameterInfo parameter, object value)
    {
        Exception? thrown = PublicSurface.Call(method, parameter, value, Examples.Make);
        return thrown is ArgumentException refused && refused.ParamName?.Split('.')[0] == parameter.Name
            ? null
            : $"{AnyValue.Name(method, parameter)} = '{value}': {thrown?.GetType().Name ?? "accepted"} {thrown?.Message}";
    }

    // A taker says what is wrong with a model or a configuration as a MoeException, which a program can tell its user.
    private static string? Wrong(Taker taker, PropertyInfo member, object? value)
    {
        Exception? thrown = Record.Exception(() => taker.Take(PublicSurface.With(taker.Make(), member, value)));
        bool isRefused = thrown is ArgumentException or MoeException && Letters(thrown.Message).Contains(Letters(member.Name), StringComparison.OrdinalIgnoreCase);
        return isRefused ? null : $"{AnyValue.Name(member)} = '{value ?? "null"}': {thrown?.GetType().Name ?? "accepted"} {thrown?.Message}";
    }

    private static string Letters(string text) => string.Concat(text.Where(char.IsLetter));
}
