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
    // A layer, and tokens for it: FILE.safetensors, or without arguments the one that lies beside the program.
    using var checkpoint = Checkpoint.Open(args.Length > 0 ? args[0] : Path.Combine(AppContext.BaseDirectory, "pad-hidden.safetensors"));
    CheckpointLayer weights = checkpoint.MoeLayers[0];
    using MoeBuffer stored = checkpoint.ReadTensor("input");
    MoeTensorView tokens = stored.View;
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
