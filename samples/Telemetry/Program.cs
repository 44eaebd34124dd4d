using Moe.Plugins;
using Moe.Plugins.Checkpoints;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;

// The console's exporter stands for any other: OpenTelemetry.Exporter.OpenTelemetryProtocol would send to a collector.
// What was counted is written when the meter's provider is disposed.
using MeterProvider metrics = Sdk.CreateMeterProviderBuilder().AddMeter(MoeTelemetry.Name).AddConsoleExporter().Build();
using TracerProvider traces = Sdk.CreateTracerProviderBuilder().AddSource(MoeTelemetry.Name).AddConsoleExporter().Build();

await using (var host = MoeHost.Create(new MoeOptions()))
{
    using var checkpoint = Checkpoint.Open(Path.Combine(AppContext.BaseDirectory, "pad-hidden.safetensors"));
    CheckpointLayer weights = checkpoint.MoeLayers[0];
    using MoeBuffer stored = checkpoint.ReadTensor("input");
    MoeTensorView tokens = stored.View;
    using MoeLayer layer = host.CreateLayer(
        new MoeLayerRequest { Name = weights.Name, Shape = weights.Shape, Options = new MoeLayerOptions { MaxTokens = tokens.Rows } }, weights.Source);
    using MoeForwardState state = layer.CreateState();
    IMoeMemory memory = layer.Method.Memory;
    long bytes = tokens.Rows * tokens.RowBytes;
    nint input = memory.Allocate(bytes);
    nint output = memory.Allocate(bytes);
    memory.CopyIn(input, tokens.Address, bytes, stream: 0);
    for (int i = 0; i < 3; i++)
    {
        layer.Forward(state, new MoeLayerCall
        {
            Input = new MoeTensorView(input, memory.Device, MoeElementType.BFloat16, tokens.Rows, tokens.Columns),
            Output = new MoeTensorView(output, memory.Device, MoeElementType.BFloat16, tokens.Rows, tokens.Columns),
        });
    }

    memory.Synchronize(stream: 0);
    memory.Free(input);
    memory.Free(output);
}
