using Moe.Plugins.Cuda;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>Takes rows to expert layers that are not on the device, through the host's memory, and back.</summary>
internal sealed class ExpertDetour(CudaContext context, int maxTokens, int hiddenSize) : IDisposable
{
    private readonly CudaHostMemory _input = context.AllocateHost((long)maxTokens * hiddenSize * sizeof(ushort));
    private readonly CudaHostMemory _output = context.AllocateHost((long)maxTokens * hiddenSize * sizeof(ushort));

    /// <summary>Runs a layer and waits for it.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="input">Device address of BF16 [tokens, hidden].</param>
    /// <param name="output">Device address of BF16 [tokens, hidden].</param>
    /// <param name="tokens">The number of rows.</param>
    /// <param name="stream">The stream.</param>
    public void Run(ExpertLayer layer, nint input, nint output, int tokens, CudaStream stream)
    {
        long bytes = (long)tokens * hiddenSize * sizeof(ushort);

        // The copy before may still read what the layer is about to write; so it is waited for as well.
        CudaMemory.Copy(_input.Handle, input, bytes, stream);
        stream.Synchronize();
        layer.Forward(View(_input, tokens), View(_output, tokens));
        CudaMemory.Copy(output, _output.Handle, bytes, stream);
    }

    public void Dispose()
    {
        _input.Dispose();
        _output.Dispose();
    }

    private MoeTensorView View(CudaHostMemory memory, int tokens) => new(memory.Handle, MoeDevice.Cpu, MoeElementType.BFloat16, tokens, hiddenSize);
}
