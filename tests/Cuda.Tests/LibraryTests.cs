using System.Diagnostics;
using System.Reflection;
using System.Runtime.Loader;
using Moe.Plugins.Cuda;
using Moe.Plugins.Tests;

namespace Cuda.Tests;

public sealed class LibraryTests
{
    [Fact]
    public void A_driver_path_that_leads_nowhere_is_an_answer()
    {
        Assert.False(CudaDriver.TryLoad("/nowhere/libcuda.so.1", out string? reason));
        Assert.Contains("'/nowhere/libcuda.so.1'", reason, StringComparison.Ordinal);
        Assert.EndsWith(".", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_driver_is_an_answer_and_its_use_an_exception_that_says_the_same()
    {
        Assert.SkipWhen(CudaDriver.TryLoad(out string? reason), "This machine has a driver and a device.");
        Assert.StartsWith("CUDA is not available: ", reason, StringComparison.Ordinal);
        CudaException exception = Assert.Throws<CudaException>(() => CudaDevice.Count);
        Assert.Equal(reason, exception.Message);
        Assert.Equal(-1, exception.Code);
        Assert.False(exception.IsContextLost);
    }

    [Fact]
    public void An_nvrtc_path_that_leads_nowhere_is_an_answer()
    {
        Assert.False(Nvrtc.TryLoad("/nowhere/libnvrtc.so.13", out string? reason));
        Assert.Contains("'/nowhere/libnvrtc.so.13'", reason, StringComparison.Ordinal);
        Assert.False(TryLoadNvrtc(LoadCopy(), "").Loaded);
    }

    [Fact]
    public void An_nvrtc_path_that_is_no_library_is_an_answer()
    {
        // In a copy of the assembly of its own, so that what other tests loaded does not stand in the way.
        string path = typeof(CudaDriver).Assembly.Location;
        (bool loaded, string? reason) = TryLoadNvrtc(LoadCopy(), path);
        Assert.False(loaded);
        Assert.Contains($"'{path}' is no library that can be loaded here", reason, StringComparison.Ordinal);
    }

    /// <summary>A path that leads to something else is refused for what it is, without being opened where that would wait.</summary>
    [Theory]
    [InlineData("pipe", "is a pipe, and a library is expected.")]
    [InlineData("folder", "is a folder, and a library is expected.")]
    [InlineData("empty", "is no library that can be loaded here (")]
    [InlineData("other", "is another library, or one that is too old: it has no nvrtcGetErrorString.")]
    [InlineData("old", "is NVRTC 11.0, and 12.0 or newer is needed.")]
    public void An_nvrtc_path_is_refused_for_what_it_leads_to(string what, string expected)
    {
        using FakeLibraries libraries = new FakeLibraries().With("other", "int other(void) { return 0; }").WithNvrtc(11, "old");
        using (Process pipe = Process.Start("mkfifo", libraries.PathOf("pipe")))
        {
            pipe.WaitForExit();
        }

        Directory.CreateDirectory(libraries.PathOf("folder"));
        File.WriteAllText(libraries.PathOf("empty"), "");
        (bool loaded, string? reason) = TryLoadNvrtc(LoadCopy(), libraries.PathOf(what));
        Assert.False(loaded);
        Assert.StartsWith($"NVRTC, which compiles the kernels, is not available: '{libraries.PathOf(what)}' {expected}", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_copies_of_the_assembly_each_find_their_libraries()
    {
        Require.Nvrtc();
        Assembly copy = LoadCopy();
        Assert.NotSame(typeof(Nvrtc).Assembly, copy);
        Assert.False(TryLoadNvrtc(copy, "/nowhere/libnvrtc.so.13").Loaded);
        Assert.True(TryLoadNvrtc(copy, null).Loaded);
        object? version = copy.GetType(typeof(Nvrtc).FullName!)!.GetMethod(nameof(Nvrtc.GetVersion))!.Invoke(null, null);
        Assert.Equal(Nvrtc.GetVersion(), version);
    }

    [Fact]
    public void Nvrtc_tells_its_version_and_architectures()
    {
        Require.Nvrtc();
        Assert.InRange(Nvrtc.GetVersion().Major, 12, 99);
        Assert.Contains(90, Nvrtc.GetArchitectures());
    }

    private static Assembly LoadCopy() =>
        new AssemblyLoadContext("copy", isCollectible: false).LoadFromAssemblyPath(typeof(CudaDriver).Assembly.Location);

    private static (bool Loaded, string? Reason) TryLoadNvrtc(Assembly copy, string? path)
    {
        object?[] arguments = [path, null];
        bool loaded = (bool)copy.GetType(typeof(Nvrtc).FullName!)!.GetMethod(nameof(Nvrtc.TryLoad))!.Invoke(null, arguments)!;
        return (loaded, (string?)arguments[1]);
    }
}
