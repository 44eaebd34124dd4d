using Moe.Plugins.Cuda;
using Moe.Plugins.Tests;

namespace Cuda.Tests;

public sealed class KernelCacheTests
{
    private static readonly CudaArchitecture Hopper = new(9, 0);
    private static readonly KernelCompileOptions Reverse = new() { NameExpressions = ["reverse<64>"] };

    [Fact]
    public void A_second_compiler_finds_what_the_first_compiled()
    {
        Require.Nvrtc();
        using TemporaryFolder folder = new();
        KernelImage compiled = Compile(folder);
        KernelImage found = Compile(folder);

        Assert.Equal(KernelImageOrigin.Compiled, compiled.Origin);
        Assert.Equal(KernelImageOrigin.Cache, found.Origin);
        Assert.Equal(compiled.Cubin.ToArray(), found.Cubin.ToArray());
        Assert.Equal(compiled.Reports, found.Reports);
        Assert.Equal(compiled.GetLoweredName("reverse<64>"), found.GetLoweredName("reverse<64>"));
    }

    [Fact]
    public void Source_header_option_and_architecture_each_make_another_entry()
    {
        Require.Nvrtc();
        using TemporaryFolder folder = new();
        KernelCompiler compiler = new(new KernelCompilerOptions { CacheFolder = folder.Path });
        KernelSource Source(string body, string header) =>
            KernelSource.FromText(
                "k.cu", $"#include \"h.cuh\"\nextern \"C\" __global__ void k() {{ {body} }}", new KernelHeader("h.cuh", header));
        KernelSource plain = Source("", "");
        KernelImageOrigin[] origins =
        [
            compiler.Compile(plain, Hopper).Origin,
            compiler.Compile(Source("__syncthreads();", ""), Hopper).Origin,
            compiler.Compile(Source("", "#define X"), Hopper).Origin,
            compiler.Compile(plain, new CudaArchitecture(8, 0)).Origin,
            compiler.Compile(plain, Hopper, new KernelCompileOptions { Defines = ["Y"] }).Origin,
        ];
        Assert.All(origins, origin => Assert.Equal(KernelImageOrigin.Compiled, origin));
        Assert.Equal(5, folder.Files.Length);
        Assert.Equal(KernelImageOrigin.Cache, compiler.Compile(plain, Hopper).Origin);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(40)]
    [InlineData(-1)]
    public void A_damaged_entry_is_compiled_anew_and_mended(int position)
    {
        Require.Nvrtc();
        using TemporaryFolder folder = new();
        Compile(folder);
        string file = Assert.Single(folder.Files);
        byte[] bytes = File.ReadAllBytes(file);
        bytes[position < 0 ? bytes.Length + position : position] ^= 1;
        File.WriteAllBytes(file, bytes);

        Assert.Equal(KernelImageOrigin.Compiled, Compile(folder).Origin);
        Assert.Equal(KernelImageOrigin.Cache, Compile(folder).Origin);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(20)]
    [InlineData(200)]
    public void An_entry_cut_short_is_compiled_anew(int length)
    {
        Require.Nvrtc();
        using TemporaryFolder folder = new();
        Compile(folder);
        string file = Assert.Single(folder.Files);
        File.WriteAllBytes(file, File.ReadAllBytes(file)[..length]);
        Assert.Equal(KernelImageOrigin.Compiled, Compile(folder).Origin);
    }

    [Fact]
    public void Many_compilers_at_once_leave_one_whole_entry()
    {
        Require.Nvrtc();
        using TemporaryFolder folder = new();
        Parallel.For(0, 8, new ParallelOptions { CancellationToken = TestContext.Current.CancellationToken }, _ => Compile(folder));
        Assert.Single(folder.Files);
        Assert.Equal(KernelImageOrigin.Cache, Compile(folder).Origin);
    }

    [Fact]
    public void The_folder_is_its_owners_alone()
    {
        Require.Nvrtc();
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no such modes.");
        using TemporaryFolder folder = new();
        Compile(folder);
#pragma warning disable CA1416 // Skipped on Windows above.
        UnixFileMode owner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Assert.Equal(owner, File.GetUnixFileMode(folder.Path));

        File.SetUnixFileMode(folder.Path, owner | UnixFileMode.OtherWrite);
#pragma warning restore CA1416
        KernelCompiler compiler = new(new KernelCompilerOptions { CacheFolder = folder.Path });
        Assert.Equal(KernelImageOrigin.Compiled, compiler.Compile(TestKernels.Read("basic.cu"), Hopper, Reverse).Origin);
        Assert.Contains("mode must be 700", compiler.CacheProblem, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_that_cannot_be_made_is_told_and_does_no_harm()
    {
        Require.Nvrtc();
        using TemporaryFolder folder = new();
        Directory.CreateDirectory(folder.Path);
        string file = Path.Combine(folder.Path, "file");
        File.WriteAllText(file, "");
        KernelCompiler compiler = new(new KernelCompilerOptions { CacheFolder = Path.Combine(file, "cache") });
        Assert.Equal(KernelImageOrigin.Compiled, compiler.Compile(TestKernels.Read("basic.cu"), Hopper).Origin);
        Assert.Contains("could not be made", compiler.CacheProblem, StringComparison.Ordinal);
    }

    [Fact]
    public void A_prebuilt_folder_comes_first_and_is_not_written()
    {
        Require.Nvrtc();
        using TemporaryFolder prebuilt = new();
        using TemporaryFolder cache = new();
        Compile(prebuilt);
        KernelCompiler compiler = new(new KernelCompilerOptions { PrebuiltFolder = prebuilt.Path, CacheFolder = cache.Path });

        Assert.Equal(KernelImageOrigin.Prebuilt, compiler.Compile(TestKernels.Read("basic.cu"), Hopper, Reverse).Origin);
        Assert.Equal(KernelImageOrigin.Compiled, compiler.Compile(TestKernels.Read("hopper.cu"), Hopper).Origin);
        Assert.Single(prebuilt.Files);
        Assert.Single(cache.Files);
    }

    [Fact]
    public void Prebuilt_kernels_of_the_newest_compiler_count_and_damaged_ones_do_not()
    {
        KernelRequest request = new(KernelSource.FromText("k.cu", ""), Hopper, new KernelCompileOptions());
        using TemporaryFolder folder = new();
        Directory.CreateDirectory(folder.Path);
        foreach (Version version in (Version[])[new(9, 9), new(12, 10), new(12, 9), new(13, 0)])
        {
            byte[] cubin = [(byte)version.Major, (byte)version.Minor];
            KernelImage image = new(cubin, "", new Dictionary<string, string>(), KernelImageOrigin.Compiled);
            KernelCache.Write(folder.Path, request.Key, version, image);
        }

        string newest = Assert.Single(folder.Files, file => file.Contains("nvrtc13.0", StringComparison.Ordinal));
        Assert.True(KernelCache.TryReadNewest(folder.Path, request.Key, out KernelImage? found));
        Assert.Equal([13, 0], found.Cubin.ToArray());
        File.WriteAllBytes(newest, [1, 2, 3]);
        Assert.True(KernelCache.TryReadNewest(folder.Path, request.Key, out found));
        Assert.Equal([12, 10], found.Cubin.ToArray());
    }

    // In a process of its own, where no other test has loaded NVRTC and its path leads nowhere.
    [Fact]
    public async Task A_prebuilt_folder_needs_no_nvrtc()
    {
        if (OwnProcess.Told is { } given)
        {
            KernelCompiler compiler = new(new KernelCompilerOptions { PrebuiltFolder = given, NvrtcPath = "/nowhere/libnvrtc.so" });
            Assert.Equal(KernelImageOrigin.Prebuilt, compiler.Compile(TestKernels.Read("basic.cu"), Hopper, Reverse).Origin);
            CudaException exception = Assert.Throws<CudaException>(() => compiler.Compile(TestKernels.Read("hopper.cu"), Hopper));
            Assert.Contains("'/nowhere/libnvrtc.so' does not exist", exception.Message, StringComparison.Ordinal);
            Assert.Contains(given, exception.Message, StringComparison.Ordinal);
            return;
        }

        Require.Nvrtc();
        using TemporaryFolder folder = new();
        Compile(folder);
        await OwnProcess.RunAsync(nameof(A_prebuilt_folder_needs_no_nvrtc), folder.Path);
    }

    private static KernelImage Compile(TemporaryFolder folder) =>
        new KernelCompiler(new KernelCompilerOptions { CacheFolder = folder.Path }).Compile(TestKernels.Read("basic.cu"), Hopper, Reverse);
}
