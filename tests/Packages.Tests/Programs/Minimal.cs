using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Moe.Plugins;
using Moe.Plugins.Checkpoints;

HostApplicationBuilder builder = Host.CreateApplicationBuilder(args);
builder.Services.AddMoePlugins(builder.Configuration.GetSection("Moe"));
using IHost app = builder.Build();
var host = app.Services.GetRequiredService<MoeHost>();

using var checkpoint = Checkpoint.Open("pad-hidden.safetensors");
CheckpointLayer weights = checkpoint.MoeLayers[0];
var request = new MoeLayerRequest
{
    Name = weights.Name,
    Shape = weights.Shape,
    Options = new MoeLayerOptions { OutputType = MoeElementType.Float32 },
};
using MoeLayer layer = host.CreateLayer(request, weights.Source);
using MoeForwardState state = layer.CreateState();   // one for each thread or stream

checkpoint.TryGetView("input", out MoeTensorView tokens);
float[] result = new float[tokens.Rows * tokens.Columns];
unsafe
{
    fixed (float* first = result)
    {
        var output = new MoeTensorView((nint)first, MoeDevice.Cpu, MoeElementType.Float32, tokens.Rows, tokens.Columns);
        layer.Forward(state, new MoeLayerCall { Input = tokens, Output = output });
    }
}

Console.WriteLine(host.Explain(request).Sentence);
Console.WriteLine($"{tokens.Rows} tokens of {tokens.Columns} values, the first: {string.Join(" ", result[..4])}");
