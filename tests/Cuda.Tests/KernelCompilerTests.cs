using Moe.Plugins.Cuda;
using Moe.Plugins.Tests;

namespace Cuda.Tests;

public sealed class KernelCompilerTests
{
    public static TheoryData<int, int, string> Architectures => new()
    {
        { 8, 0, "sm_80" }, { 8, 9, "sm_89" }, { 9, 0, "sm_90a" }, { 10, 0, "sm_100a" }, { 10, 3, "sm_103a" }, { 12, 0, "sm_120a" },
    };

    [Theory]
    [MemberData(nameof(Architectures))]
    public void Compiles_for_exactly_the_architecture_and_reports_each_kernel(int major, int minor, string target)
    {
        Require.Nvrtc();
        CudaArchitecture architecture = new(major, minor);
        KernelImage image = TestKernels.Compile("basic.cu", architecture, new KernelCompileOptions { NameExpressions = ["reverse<256>"] });

        Assert.Equal(target, architecture.Target);
        Assert.Contains($"for '{target}'", image.Log, StringComparison.Ordinal);
        Assert.Equal([0x7f, (byte)'E', (byte)'L', (byte)'F'], image.Cubin.Span[..4].ToArray());
        KernelReport scale = Assert.Single(image.Reports, report => report.Name == "scale");
        Assert.InRange(scale.Registers, 4, 64);
        Assert.Equal(0, scale.SharedBytes);
        KernelReport reverse = Assert.Single(image.Reports, report => report.Name == image.GetLoweredName("reverse<256>"));
        Assert.Equal(1024, reverse.SharedBytes);
        Assert.Equal(4, image.Reports.Count);
    }

    [Theory]
    [InlineData(9, 0)]
    [InlineData(10, 0)]
    public void Compiles_what_only_newer_architectures_have(int major, int minor)
    {
        Require.Nvrtc();
        KernelImage image = TestKernels.Compile("hopper.cu", new CudaArchitecture(major, minor));
        Assert.Contains(image.Reports, report => report.Name == "fetch_box");
    }

    // NVRTC's own cache would swallow the second report.
    [Fact]
    public void Compiling_the_same_again_reports_again()
    {
        Require.Nvrtc();
        CudaArchitecture hopper = new(9, 0);
        Assert.Equal(TestKernels.Compile("basic.cu", hopper).Reports, TestKernels.Compile("basic.cu", hopper).Reports);
        Assert.NotEmpty(TestKernels.Compile("basic.cu", hopper).Reports);
    }

    [Fact]
    public void Reports_spills()
    {
        Require.Nvrtc();
        const string Text = """
            extern "C" __global__ void spilling(const float* in, float* out)
            {
                float v[64];
                #pragma unroll
                for (int i = 0; i < 64; i++) v[i] = in[i * 32 + threadIdx.x];
                __syncthreads();
                float s = in[threadIdx.x];
                #pragma unroll
                for (int i = 0; i < 64; i++) s = s * v[63 - i] + v[i];
                out[threadIdx.x] = s;
            }
            """;
        KernelCompiler compiler = new(new KernelCompilerOptions { UseCache = false });
        KernelImage image = compiler.Compile(
            KernelSource.FromText("spilling.cu", Text),
            new CudaArchitecture(8, 0),
            new KernelCompileOptions { Options = ["--maxrregcount=32"] });
        KernelReport report = Assert.Single(image.Reports);
        Assert.InRange(report.Registers, 1, 32);
        Assert.True(report is { SpillStoreBytes: > 0, SpillLoadBytes: > 0, StackBytes: > 0 }, report.ToString());
    }

    [Fact]
    public void An_error_names_file_and_line()
    {
        Require.Nvrtc();
        CudaException exception = Assert.Throws<CudaException>(() => TestKernels.Compile("broken.cu", new CudaArchitecture(9, 0)));
        Assert.Equal("nvrtcCompileProgram", exception.Call);
        Assert.Equal("NVRTC_ERROR_COMPILATION", exception.ErrorName);
        Assert.Contains("broken.cu(5): error: identifier \"undeclared\" is undefined", exception.Message, StringComparison.Ordinal);
        Assert.False(exception.IsContextLost);
    }

    // In a process of its own, whose search path has the compiler's library and not that of its builtins.
    [Fact]
    public async Task A_compiler_without_its_builtins_says_what_it_misses()
    {
        if (OwnProcess.Told is not null)
        {
            Exception? thrown = Record.Exception(() => TestKernels.Compile("basic.cu", new CudaArchitecture(9, 0)));
            Assert.SkipWhen(thrown is null, "This system finds the builtins without a search path.");
            CudaException exception = Assert.IsType<CudaException>(thrown);
            Assert.Equal("NVRTC_ERROR_BUILTIN_OPERATION_FAILURE", exception.ErrorName);
            Assert.Contains("libnvrtc-builtins.so", exception.Message, StringComparison.Ordinal);
            return;
        }

        Require.Nvrtc();
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Libraries are found by a search path on Linux.");
        string library = File.ReadLines("/proc/self/maps").Select(static line => line.Split(' ')[^1]).First(static path => path.Contains("/libnvrtc.so", StringComparison.Ordinal));
        using TemporaryFolder folder = new();
        Directory.CreateDirectory(folder.Path);
        File.CreateSymbolicLink(Path.Combine(folder.Path, $"libnvrtc.so.{Nvrtc.GetVersion().Major}"), library);
        await OwnProcess.RunAsync(nameof(A_compiler_without_its_builtins_says_what_it_misses), "", ("LD_LIBRARY_PATH", folder.Path));
    }

    [Fact]
    public void An_error_in_a_header_names_the_header()
    {
        Require.Nvrtc();
        CudaException exception = Assert.Throws<CudaException>(() => TestKernels.Compile("broken_include.cu", new CudaArchitecture(9, 0)));
        Assert.Contains("broken.cuh(3): error", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_header_that_is_nowhere_is_an_error_of_its_line()
    {
        Require.Nvrtc();
        KernelCompiler compiler = new(new KernelCompilerOptions { UseCache = false });
        KernelSource source = KernelSource.FromText("lost.cu", "\n#include \"nowhere.cuh\"\n");
        CudaException exception = Assert.Throws<CudaException>(() => compiler.Compile(source, new CudaArchitecture(9, 0)));
        Assert.Contains("lost.cu(2)", exception.Message, StringComparison.Ordinal);
        Assert.Contains("nowhere.cuh", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_architecture_that_nvrtc_does_not_know_is_named_with_those_it_does()
    {
        Require.Nvrtc();
        CudaException exception = Assert.Throws<CudaException>(() => TestKernels.Compile("basic.cu", new CudaArchitecture(3, 0)));
        Assert.Contains("sm_30", exception.Message, StringComparison.Ordinal);
        Assert.Contains("sm_90", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Defines_reach_the_compiler()
    {
        Require.Nvrtc();
        KernelCompiler compiler = new(new KernelCompilerOptions { UseCache = false });
        KernelSource source = KernelSource.FromText("defined.cu", "static_assert(WIDTH == 7, \"\"); extern \"C\" __global__ void k() {}");
        Assert.Single(compiler.Compile(source, new CudaArchitecture(8, 0), new KernelCompileOptions { Defines = ["WIDTH=7"] }).Reports);
        Assert.Throws<CudaException>(
            () => compiler.Compile(source, new CudaArchitecture(8, 0), new KernelCompileOptions { Defines = ["WIDTH=8"] }));
    }

    [Fact]
    public void A_name_expression_that_was_not_compiled_is_named()
    {
        Require.Nvrtc();
        KernelImage image = TestKernels.Compile(
            "basic.cu", new CudaArchitecture(8, 0), new KernelCompileOptions { NameExpressions = ["reverse<64>"] });
        Assert.Contains("reverse", image.GetLoweredName("reverse<64>"), StringComparison.Ordinal);
        KeyNotFoundException exception = Assert.Throws<KeyNotFoundException>(() => image.GetLoweredName("reverse<65>"));
        Assert.Contains("reverse<64>", exception.Message, StringComparison.Ordinal);
    }
}
