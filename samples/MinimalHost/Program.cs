using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Moe.Plugins;
using Moe.Plugins.Checkpoints;

// Backends come from plugins/<Name>/<Name>.dll beside the program; which one runs is the configuration's business.
IConfiguration configuration = new ConfigurationBuilder().SetBasePath(AppContext.BaseDirectory).AddJsonFile("appsettings.json").Build();
var services = new ServiceCollection();
services.AddMoePlugins(configuration.GetSection("Moe"));
await using ServiceProvider provider = services.BuildServiceProvider();
var host = provider.GetRequiredService<MoeHost>();

using var checkpoint = Checkpoint.Open(Path.Combine(AppContext.BaseDirectory, "pad-hidden.safetensors"));
CheckpointLayer weights = checkpoint.MoeLayers[0];
var request = new MoeLayerRequest
{
    Name = weights.Name,
    Shape = weights.Shape,
    Options = new MoeLayerOptions { MaxTokens = 32 },
};
Console.WriteLine(host.Explain(request).Sentence);

using MoeLayer layer = host.CreateLayer(request, weights.Source);
using MoeForwardState state = layer.CreateState();   // one for each thread or stream

// The layer's device may be a GPU, so its buffers come from the backend; 17 tokens in BF16.
using MoeBuffer stored = checkpoint.ReadTensor("input");
MoeTensorView tokens = stored.View;
IMoeMemory memory = layer.Method.Memory;
long bytes = tokens.Rows * tokens.RowBytes;
nint input = memory.Allocate(bytes);
nint output = memory.Allocate(bytes);
memory.CopyIn(input, tokens.Address, bytes, stream: 0);

layer.Forward(state, new MoeLayerCall
{
    Input = new MoeTensorView(input, memory.Device, MoeElementType.BFloat16, tokens.Rows, tokens.Columns),
    Output = new MoeTensorView(output, memory.Device, MoeElementType.BFloat16, tokens.Rows, tokens.Columns),
});

byte[] result = new byte[bytes];
unsafe
{
    fixed (byte* first = result)
    {
        memory.CopyOut((nint)first, output, bytes, stream: 0);
        layer.Synchronize();
    }
}

memory.Free(input);
memory.Free(output);
float value = BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(result) << 16);
Console.WriteLine($"{tokens.Rows} tokens of {tokens.Columns} values; the first is {value}.");
