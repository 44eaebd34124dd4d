using Moe.Plugins.Cuda;

namespace Cuda.Tests;

public sealed class PtxasLogTests
{
    [Fact]
    public void Each_kernel_gets_its_own_lines()
    {
        const string Log = """
            a.cu(3): warning #177-D: variable "x" was declared but never referenced
            ptxas info    : 8 bytes gmem
            ptxas info    : Compiling entry function 'first' for 'sm_90a'
            ptxas info    : Function properties for first
                264 bytes stack frame, 120 bytes spill stores, 124 bytes spill loads
            ptxas info    : Used 255 registers, used 1 barriers, 264 bytes cumulative stack size, 49152 bytes smem
            ptxas info    : Function properties for helper
                16 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads
            ptxas info    : Compiling entry function '_Z6secondv' for 'sm_90a'
            ptxas info    : Function properties for _Z6secondv
                0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
            ptxas info    : Used 8 registers, used 0 barriers
            """;
        Assert.Equal(
            [new KernelReport("first", 255, 49152, 120, 124, 264), new KernelReport("_Z6secondv", 8, 0, 0, 0, 0)], PtxasLog.Parse(Log));
    }

    [Fact]
    public void A_log_without_kernels_has_no_reports()
    {
        Assert.Empty(PtxasLog.Parse(""));
    }
}
