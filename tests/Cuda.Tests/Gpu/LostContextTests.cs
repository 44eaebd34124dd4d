using Moe.Plugins.Cuda;
using Moe.Plugins.Tests;

namespace Cuda.Tests;

public sealed class LostContextTests
{
    // In a process of its own: the error spoils the context for all that follows.
    [Fact]
    public async Task An_illegal_address_loses_the_context_and_says_so()
    {
        if (OwnProcess.Told is not null)
        {
            LoseContext();
            return;
        }

        Require.Gpu().Dispose();
        await OwnProcess.RunAsync(nameof(An_illegal_address_loses_the_context_and_says_so), "lose");
    }

    private static void LoseContext()
    {
        using CudaContext context = Require.Gpu();
        using CudaContextScope scope = context.MakeCurrent();
        using CudaModule module = TestKernels.Load(context, "basic.cu");
        nint nowhere = 0x10;
        module.GetFunction("illegal_write").Launch(new CudaLaunchConfig(1, 1), 0, in nowhere);
        CudaException exception = Assert.Throws<CudaException>(context.Synchronize);
        Assert.Equal("CUDA_ERROR_ILLEGAL_ADDRESS", exception.ErrorName);
        Assert.True(exception.IsContextLost);
        Assert.Contains("The context is lost", exception.Message, StringComparison.Ordinal);
        Assert.True(Assert.Throws<CudaException>(() => context.Allocate(4)).IsContextLost);
    }
}
