using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Moe.Plugins;
using Moe.Plugins.Checkpoints;

HostApplicationBuilder builder = Host.CreateApplicationBuilder(args);
builder.Services.AddMoePlugins(builder.Configuration.GetSection("Moe"));
using IHost app = builder.Build();
IMoeHost host = app.Services.GetRequiredService<IMoeHost>();

using var checkpoint = Checkpoint.Open(args[0]);
CheckpointLayer weights = checkpoint.MoeLayers[0];
using IMoeLayer layer = await host.CreateLayerAsync(new MoeLayerRequest { Name = weights.Name, Shape = weights.Shape }, weights.Source);
using IMoeForwardState state = layer.CreateState();   // one for each thread or stream

checkpoint.TryGetView("input", out MoeTensorView tokens);
using var input = new MoeBuffer(layer.Memory, tokens.ElementType, tokens.Rows, tokens.Columns);
using var output = new MoeBuffer(layer.Memory, tokens.ElementType, tokens.Rows, tokens.Columns);
input.CopyFrom(tokens);
layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });

Console.WriteLine(host.Selections[0].Sentence);
Console.WriteLine($"{tokens.Rows} tokens of {tokens.Columns} values, the first: {string.Join(" ", output.ToSingles()[..4])}");
