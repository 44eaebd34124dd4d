// A program that loads nothing: its backend is a reference. It is trimmed or compiled ahead where those packs are at hand.
using Microsoft.Extensions.DependencyInjection;
using Moe.Plugins;
using Moe.Plugins.Cpu;

var services = new ServiceCollection();
services.AddMoeBackend<CpuPlugin>();
await using ServiceProvider provider = services.BuildServiceProvider();
var request = new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B };
Console.WriteLine(provider.GetRequiredService<MoeHost>().Explain(request).Sentence);
