using System.Collections;
using System.Reflection;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Tests;

/// <summary>A member that is null in what a program hands in is named, wherever it stands, and leaves the host as it was.</summary>
public sealed class NullMemberTests : IAsyncDisposable
{
    private static readonly NullabilityInfoContext Annotations = new();

    private static readonly MoeLayerShape Shape = TinyLayer.Shape with
    {
        Shared = new MoeSharedExperts { IntermediateSize = 32, WeightFormat = MoeWeightFormat.BFloat16, Activation = MoeActivation.SiluGated },
        Latent = new MoeLatentExperts { Width = 32 },
    };

    private readonly WorkingFolder _folder = new();
    private readonly MoeHost _host;

    public NullMemberTests() => _host = _folder.Drop.Load();

    public static TheoryData<string> OfRequests => [.. Members(TinyLayer.Request with { Shape = Shape })];

    public static TheoryData<string> OfWeights => [.. Members(Whole.Source)];

    public static TheoryData<string> OfGroups => [.. Members(Group)];

    public static TheoryData<string> OfOptions => [.. Members(Options())];

    // With all parts that a layer can have.
    private static RandomLayer Whole { get; } = new(Shape with { HiddenSize = 64, IntermediateSize = 64, WeightFormat = MoeWeightFormat.BFloat16 }, 1);

    private static MoeGroupRequest Group => new() { Devices = [MoeDevice.Cpu, MoeDevice.Cpu], MaxTokens = 1, Width = 32 };

    [Theory]
    [MemberData(nameof(OfRequests))]
    public void Of_a_request(string path)
    {
        MoeLayerRequest request = Without(TinyLayer.Request with { Shape = Shape }, path);
        Refuses(path, () => _host.Explain(request));
        Refuses(path, () => _host.CreateLayer(request, TinyLayer.Weights));
        Refuses(path, () => _host.CreateGroupFor(request));
        Refuses(path, () => _host.CreateLayerAsync(request, TinyLayer.Weights, cancellationToken: TestContext.Current.CancellationToken).GetAwaiter().GetResult());
    }

    [Theory]
    [MemberData(nameof(OfWeights))]
    public void Of_weights(string path)
    {
        MoeWeightSource weights = Without(Whole.Source, path);
        Refuses(path, () => _host.CreateLayer(TinyLayer.Request with { Shape = Whole.Shape }, weights));
        Refuses(path, () => weights.Validate(Whole.Shape));
    }

    [Theory]
    [MemberData(nameof(OfGroups))]
    public void Of_a_request_for_a_group(string path) => Refuses(path, () => _host.CreateGroup(Without(Group, path)));

    [Theory]
    [MemberData(nameof(OfOptions))]
    public void Of_options(string path) => Refuses(path, () => MoeHost.Create(Without(Options(), path)).Dispose());

    [Fact]
    public void An_entry_of_a_list_is_named_too()
    {
        Refuses("PluginFolders", () => MoeHost.Create(With(static options => options.PluginFolders = [null!])));
        Refuses("Order", () => MoeHost.Create(With(static options => options.Order = [null!])));
        Refuses("TrustKeys", () => MoeHost.Create(With(static options => options.TrustKeys = [null!])));
        Refuses("Devices", () => MoeHost.Create(With(static options => options.Parallel.Devices = [null!])));
        Refuses("Layers:x", () => MoeHost.Create(With(static options => options.Layers["x"] = null!)));
        Refuses("Plugins:Working", () => MoeHost.Create(With(static options => options.Plugins["Working"] = null!)));
        Refuses("Plugins:Working:Threads", () => MoeHost.Create(With(static options => options.Plugins["Working"] = new Dictionary<string, string> { ["Threads"] = null! })));
    }

    [Theory]
    [InlineData("MaxTokens", -1)]
    [InlineData("MaxTokens", 0)]
    [InlineData("InputType", 77)]
    [InlineData("OutputType", 77)]
    public void What_is_out_of_range_is_named(string member, int value)
    {
        MoeLayerOptions options = TinyLayer.Request.Options with { };
        PropertyInfo property = typeof(MoeLayerOptions).GetProperty(member)!;
        property.SetValue(options, property.PropertyType.IsEnum ? Enum.ToObject(property.PropertyType, value) : value);
        Refuses(member, () => _host.CreateLayer(TinyLayer.Request with { Options = options }, TinyLayer.Weights));
    }

    public async ValueTask DisposeAsync()
    {
        using (MoeLayer layer = WorkingFolder.CreateLayer(_host))
        {
            Assert.Equal(1, WorkingFolder.Run(layer));
        }

        await _host.DisposeAsync();
        _folder.Dispose();
    }

    private static MoeOptions Options() => new() { PluginFolders = [], Trial = MoeTrialMode.InProcess };

    private static MoeOptions With(Action<MoeOptions> change)
    {
        MoeOptions options = Options();
        change(options);
        return options;
    }

    private static void Refuses(string path, Action use)
    {
        Exception? thrown = Record.Exception(use);
        Assert.True(thrown is ArgumentException or MoeException, $"{path}: {thrown?.ToString() ?? "accepted"}");
        Assert.Contains(path.Split('.')[^1], thrown!.Message, StringComparison.Ordinal);
    }

    // Paths of the members that may not be null, in the argument and in what it holds.
    private static IEnumerable<string> Members(object argument) =>
        from property in argument.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance)
        where property.CanWrite && property.SetMethod!.IsPublic && !property.PropertyType.IsValueType && property.GetIndexParameters().Length == 0
        from path in (string[])
        [
            .. Annotations.Create(property).WriteState == NullabilityState.NotNull ? [property.Name] : (string[])[],
            .. property.GetValue(argument) is { } held and not (string or IEnumerable) && held.GetType().Namespace == typeof(MoeHost).Namespace
                ? Members(held).Select(inner => $"{property.Name}.{inner}")
                : [],
        ]
        select path;

    private static T Without<T>(T argument, string path)
        where T : class
    {
        object copy = Copy(argument);
        string[] names = path.Split('.');
        object holder = copy;
        foreach (string name in names[..^1])
        {
            PropertyInfo property = holder.GetType().GetProperty(name)!;
            object inner = Copy(property.GetValue(holder)!);
            property.SetValue(holder, inner);
            holder = inner;
        }

        holder.GetType().GetProperty(names[^1])!.SetValue(holder, null);
        return (T)copy;
    }

    private static object Copy(object argument) =>
        typeof(object).GetMethod(nameof(MemberwiseClone), BindingFlags.NonPublic | BindingFlags.Instance)!.Invoke(argument, null)!;
}
