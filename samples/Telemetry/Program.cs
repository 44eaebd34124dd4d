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
    using var checkpoint = Checkpoint.Open(args[0]);
    CheckpointLayer weights = checkpoint.MoeLayers[0];
    checkpoint.TryGetView("input", out MoeTensorView tokens);
    using MoeLayer layer = host.CreateLayer(
        new MoeLayerRequest { Name = weights.Name, Shape = weights.Shape, Options = new MoeLayerOptions { MaxTokens = tokens.Rows } }, weights.Source);
    using MoeForwardState state = layer.CreateState();
    using var input = new MoeBuffer(layer.Memory, tokens.ElementType, tokens.Rows, tokens.Columns);
    using var output = new MoeBuffer(layer.Memory, tokens.ElementType, tokens.Rows, tokens.Columns);
    input.CopyFrom(tokens);
    for (int i = 0; i < 3; i++)
    {
        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });
    }

    layer.Synchronize();
}
