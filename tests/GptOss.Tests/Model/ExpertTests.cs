using System.Reflection;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.GptOss.Tests;

/// <summary>The layers of experts within a model, against the same layers alone and against the model's float64.</summary>
public sealed class ExpertTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>A layer alone is what `moe run` runs: the checkpoint's layer, on a host.</summary>
    [Theory]
    [InlineData(MoeElementType.Float32, 29)]
    [InlineData(MoeElementType.Float32, 1)]
    [InlineData(MoeElementType.BFloat16, 29)]
    public void Experts_inside_give_what_the_layer_alone_gives(MoeElementType type, int tokens)
    {
        var calls = new List<(string Layer, byte[] Input, byte[] Output)>();
        IMoeHost host = Observing<IMoeHost>(Models.Host, (method, arguments, result) => method == nameof(IMoeHost.CreateLayer)
            ? Observing<IMoeLayer>((IMoeLayer)result!, (layerMethod, layerArguments, layerResult) =>
            {
                if (layerMethod == nameof(IMoeLayer.Forward))
                {
                    var call = (MoeLayerCall)layerArguments![1]!;
                    calls.Add((((MoeLayerRequest)arguments![0]!).Name, Bytes(call.Input), Bytes(call.Output)));
                }

                return layerResult;
            })
            : result);
        var options = new GptOssOptions { Model = Golden.Folder, MaxContext = 64, ActivationType = type };
        using (var model = GptOssModel.Load(host, options, cancellationToken: Cancellation))
        {
            using GptOssSequence sequence = model.CreateSequence();
            model.Forward(sequence, Golden.Prompt.AsMemory(0, tokens), new float[model.Config.VocabularySize], Cancellation);
        }

        using var checkpoint = Checkpoint.Open(Golden.Folder);
        Assert.Equal(checkpoint.MoeLayers.Select(layer => layer.Name), calls.Select(call => call.Layer));
        foreach ((CheckpointLayer weights, (_, byte[] input, byte[] output)) in checkpoint.MoeLayers.Zip(calls))
        {
            var request = new MoeLayerRequest
            {
                Name = weights.Name,
                Shape = weights.Shape,
                Options = new MoeLayerOptions { MaxTokens = tokens, InputType = type, OutputType = type },
            };
            using IMoeLayer layer = Models.Host.CreateLayer(request, weights.Source, cancellationToken: Cancellation);
            using IMoeForwardState state = layer.CreateState();
            using var given = MoeBuffer.OnHost(type, tokens, weights.Shape.HiddenSize);
            using var found = MoeBuffer.OnHost(type, tokens, weights.Shape.HiddenSize);
            given.CopyFromBytes(input);
            layer.Forward(state, new MoeLayerCall { Input = given.View, Output = found.View });
            layer.Synchronize();
            Assert.Equal(output, Bytes(found.View));
        }
    }

    [Theory]
    [InlineData("Bf16")]
    [InlineData("Mxfp4.Marlin")]
    [InlineData("Mxfp4.Sm100")]
    public async Task On_a_GPU_logits_are_as_near_as_the_backend_promises(string backend)
    {
        await using var host = MoeHost.Create(new MoeOptions { Backend = backend });
        using var checkpoint = Checkpoint.Open(Golden.Folder);
        MoeSelectionReport report = host.Explain(new MoeLayerRequest { Name = "a layer", Shape = checkpoint.MoeLayers[0].Shape });
        Assert.SkipUnless(report.Selected is not null, report.Sentence);

        double promised = 0;
        IMoeHost observing = Observing<IMoeHost>(host, (method, _, result) =>
        {
            promised = result is MoeLayer layer ? layer.Method.Numerics.RelativeError : promised;
            return result;
        });
        var options = new GptOssOptions { Model = Golden.Folder, MaxContext = 64, ActivationType = MoeElementType.BFloat16 };
        using var model = GptOssModel.Load(observing, options, cancellationToken: Cancellation);
        Assert.All(model.ExpertSelections, selection => Assert.Equal(backend, selection.Selected!.Id));

        // The given tokens are fed. What BF16 between the layers costs comes on top (GoldenTests), once for what goes in and once for what comes out.
        float[] logits = Models.AllLogits(model, Golden.Text);
        Assert.InRange(Models.WorstRow(logits, Golden.Logits, logits.Length), 1e-5, 2e-2 + (2 * promised));
    }

    private static byte[] Bytes(MoeTensorView view)
    {
        using var copy = MoeBuffer.OnHost(view.ElementType, view.Rows, view.Columns);
        copy.CopyFrom(view);
        byte[] bytes = new byte[copy.ByteCount];
        copy.CopyToBytes(bytes);
        return bytes;
    }

    private static T Observing<T>(T inner, Func<string, object?[]?, object?, object?> seen)
        where T : class
    {
        T proxy = DispatchProxy.Create<T, Observer<T>>();
        ((Observer<T>)(object)proxy).Inner = inner;
        ((Observer<T>)(object)proxy).Seen = seen;
        return proxy;
    }

    /// <summary>Passes calls on, and shows each with what came of it, which may be replaced.</summary>
    public class Observer<T> : DispatchProxy
        where T : class
    {
        internal T Inner { get; set; } = null!;

        internal Func<string, object?[]?, object?, object?> Seen { get; set; } = null!;

        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) =>
            Seen(targetMethod!.Name, args, targetMethod.Invoke(Inner, args));
    }
}
