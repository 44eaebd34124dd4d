using System.Diagnostics;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>Runs a layer on its backend's memory: once for the result, then again and again for the time.</summary>
internal sealed class LayerRun : IDisposable
{
    private const int WarmUps = 3;
    private const int MostForwards = 1000;

    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(1);

    private LayerRun(MoeLayerShape shape, int tokens, MoeElementType outputType)
    {
        Output = MoeBuffer.OnHost(outputType, tokens, shape.HiddenSize);
        TopKIds = MoeBuffer.OnHost(MoeElementType.Int32, tokens, shape.TopK);
        TopKWeights = MoeBuffer.OnHost(MoeElementType.Float32, tokens, shape.TopK);
    }

    public MoeBuffer Output { get; }

    public MoeBuffer TopKIds { get; }

    public MoeBuffer TopKWeights { get; }

    /// <summary>Median time of one forward, from the call until the device is done.</summary>
    public double Microseconds { get; private set; }

    /// <summary>Forwards that the median is of.</summary>
    public int Forwards { get; private set; }

    /// <summary>Runs the tokens through the layer.</summary>
    /// <exception cref="MoeException">The device is out of memory or failed.</exception>
    public static LayerRun Execute(MoeLayer layer, MoeTensorView tokens, CancellationToken cancellationToken)
    {
        MoeLayerConfig config = layer.Config;
        var run = new LayerRun(config.Shape, tokens.Rows, config.Options.OutputType);
        try
        {
            run.Run(layer, tokens, cancellationToken);
            return run;
        }
        catch
        {
            run.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Output.Dispose();
        TopKIds.Dispose();
        TopKWeights.Dispose();
    }

    private void Run(MoeLayer layer, MoeTensorView tokens, CancellationToken cancellationToken)
    {
        IMoeMemory memory = layer.Method.Memory;
        nint stream = memory.CreateStream();
        try
        {
            using var input = new DeviceBuffer(memory, tokens.ElementType, tokens.Rows, tokens.Columns);
            using var output = new DeviceBuffer(memory, Output.View.ElementType, tokens.Rows, tokens.Columns);
            using var ids = new DeviceBuffer(memory, MoeElementType.Int32, tokens.Rows, TopKIds.View.Columns);
            using var weights = new DeviceBuffer(memory, MoeElementType.Float32, tokens.Rows, TopKIds.View.Columns);
            (DeviceBuffer Device, MoeBuffer Host)[] results = [(output, Output), (ids, TopKIds), (weights, TopKWeights)];

            using MoeForwardState state = layer.CreateState();
            input.CopyIn(tokens, stream);
            foreach (var (device, host) in results)
            {
                Poison.Fill(host);
                device.CopyIn(host.View, stream);
            }

            var call = new MoeLayerCall
            {
                Input = input.View,
                Output = output.View,
                TopKIds = ids.View,
                TopKWeights = weights.View,
                Stream = stream,
            };
            layer.Forward(state, call);
            foreach (var (device, host) in results)
            {
                device.CopyOut(host.View, stream);
            }

            layer.Synchronize(stream);
            Measure(() =>
            {
                layer.Forward(state, call);
                layer.Synchronize(stream);
            }, cancellationToken);
        }
        finally
        {
            memory.DestroyStream(stream);
        }
    }

    private void Measure(Action forward, CancellationToken cancellationToken)
    {
        var total = Stopwatch.StartNew();
        for (int i = 0; i < WarmUps && total.Elapsed < Budget / 4; i++)
        {
            forward();
        }

        var times = new List<double>();
        do
        {
            cancellationToken.ThrowIfCancellationRequested();
            long start = Stopwatch.GetTimestamp();
            forward();
            times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }
        while (times.Count < MostForwards && total.Elapsed < Budget);

        times.Sort();
        Microseconds = times[times.Count / 2];
        Forwards = times.Count;
    }
}
