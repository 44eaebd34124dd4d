using System.Globalization;
using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using Moe.Plugins;
using Moe.Plugins.Checkpoints;

// ILGPU allocates, copies and waits; the layer reads and writes ILGPU's buffers on ILGPU's stream, and nothing is copied in between.
// Exit code 0: the result is right; 1: it is wrong; 3: there is no CUDA device here.
using Context ilgpu = Context.Create(builder => builder.Cuda());
if (ilgpu.GetCudaDevices().Count == 0)
{
    Console.Error.WriteLine("ILGPU finds no CUDA device here, and this sample is about one.");
    return 3;
}

using CudaAccelerator accelerator = ilgpu.CreateCudaAccelerator(0);
using var stream = (CudaStream)accelerator.CreateStream();

// ILGPU makes a context of its own, in which its addresses and streams mean something. The backends use the device's primary context, the
// one of the CUDA runtime and all that is built on it, unless they are told of another. It must live as long as the host.
var settings = new Dictionary<string, string> { ["Context"] = accelerator.NativePtr.ToString(CultureInfo.InvariantCulture) };
var options = new MoeOptions { Device = $"cuda:{accelerator.DeviceId}" };
foreach (string backend in new[] { "Mxfp4.Marlin", "Mxfp4.Sm100", "Bf16" })
{
    options.Plugins[backend] = settings;
}

await using var host = MoeHost.Create(options);

// A layer, and tokens for it: FILE.safetensors, or without arguments the one that lies beside the program.
using var checkpoint = Checkpoint.Open(args.Length > 0 ? args[0] : Path.Combine(AppContext.BaseDirectory, "pad-hidden.safetensors"));
CheckpointLayer weights = checkpoint.MoeLayers[0];
using MoeBuffer stored = checkpoint.ReadTensor("input");
using MoeBuffer expected = checkpoint.ReadTensor("expected.output");
MoeTensorView tokens = stored.View;
var request = new MoeLayerRequest
{
    Shape = weights.Shape,
    Options = new MoeLayerOptions { MaxTokens = tokens.Rows, OutputType = MoeElementType.Float32 },
};
Console.WriteLine(host.Explain(request).Sentence);
using MoeLayer layer = host.CreateLayer(request, weights.Source);
using MoeForwardState state = layer.CreateState();

int count = tokens.Rows * tokens.Columns;
using MemoryBuffer1D<ushort, Stride1D.Dense> input = accelerator.Allocate1D<ushort>(count);   // BF16, which ILGPU has no type for
using MemoryBuffer1D<float, Stride1D.Dense> output = accelerator.Allocate1D<float>(count);
input.View.CopyFromCPU(stream, MemoryMarshal.Cast<byte, ushort>(Bytes(tokens)));
layer.Forward(state, new MoeLayerCall
{
    Input = View(input.NativePtr, MoeElementType.BFloat16),
    Output = View(output.NativePtr, MoeElementType.Float32),
    Stream = stream.StreamPtr,
});
float[] result = new float[count];
output.View.CopyToCPU(stream, result);
stream.Synchronize();

ReadOnlySpan<float> right = MemoryMarshal.Cast<byte, float>(Bytes(expected.View));
double error = 0;
double size = 0;
for (int i = 0; i < count; i++)
{
    error += Math.Pow(result[i] - right[i], 2);
    size += Math.Pow(right[i], 2);
}

error = Math.Sqrt(error / size);
bool isRight = error <= layer.Method.Numerics.RelativeError;
Console.WriteLine($"{tokens.Rows} tokens of {tokens.Columns} values; {(isRight ? "right" : "WRONG")}: {error:0.0e0} from the file's result.");
return isRight ? 0 : 1;

MoeTensorView View(nint address, MoeElementType type) =>
    new(address, MoeDevice.Cuda(accelerator.DeviceId), type, tokens.Rows, tokens.Columns);

static ReadOnlySpan<byte> Bytes(MoeTensorView view)
{
    using MoeBuffer buffer = MoeBuffer.OnHost(view.ElementType, view.Rows, view.Columns);
    buffer.CopyFrom(view);
    byte[] bytes = new byte[buffer.ByteCount];
    buffer.CopyToBytes(bytes);
    return bytes;
}
