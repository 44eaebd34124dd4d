using Moe.Plugins.Cuda;
using Moe.Plugins.Tests;

namespace Cuda.Tests;

/// <summary>Drivers that are too old, not whole, or show no device, each in a process of its own: the first one that is loaded stays.</summary>
public sealed class FakeDriverTests : IDisposable
{
    private readonly FakeLibraries _libraries = new();

    [Fact]
    public Task A_driver_that_is_too_old_is_told_the_version_that_is_needed() => Refuses(
        nameof(A_driver_that_is_too_old_is_told_the_version_that_is_needed),
        static libraries => libraries.WithDriver(11080),
        "CUDA is not available: the driver supports CUDA 11.8, and 12.0 or newer is needed.");

    [Fact]
    public Task A_driver_that_does_not_fit_its_kernel_is_named_as_CUDA_names_it() => Refuses(
        nameof(A_driver_that_does_not_fit_its_kernel_is_named_as_CUDA_names_it),
        static libraries => libraries.WithDriver(13000, result: 803),
        "CUDA is not available: cuInit failed: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803): system has unsupported display driver / cuda driver combination.");

    [Fact]
    public Task A_library_without_a_call_that_is_needed_is_refused() => Refuses(
        nameof(A_library_without_a_call_that_is_needed_is_refused),
        static libraries => libraries.With("libcuda.so.1", "int cuDriverGetVersion(int* version) { *version = 13000; return 0; }"),
        "CUDA is not available: the driver library lacks a call that is needed",
        "cuInit");

    [Theory]
    [InlineData(100, 1)]
    [InlineData(0, 0)]
    public Task A_device_that_is_hidden_is_said_to_be_hidden(int result, int devices) => Refuses(
        nameof(A_device_that_is_hidden_is_said_to_be_hidden),
        libraries => libraries.WithDriver(13000, result, devices),
        "CUDA is not available: the driver is loaded but shows no device (CUDA_VISIBLE_DEVICES is '-1', which hides all others).");

    [Fact]
    public async Task A_device_that_is_not_visible_is_named_with_those_that_are()
    {
        if (OwnProcess.Told is not null)
        {
            string message = Assert.Throws<CudaException>(() => CudaDevice.Get(1)).Message;
            Assert.Contains("Device 1 was asked for, and there is 1, device 0 (CUDA_VISIBLE_DEVICES is '3').", message, StringComparison.Ordinal);
            return;
        }

        await OwnProcess.RunAsync(
            nameof(A_device_that_is_not_visible_is_named_with_those_that_are), "", _libraries.WithDriver(13000).SearchPath, ("CUDA_VISIBLE_DEVICES", "3"));
    }

    /// <summary>A driver loads what its own CUDA or an older one compiled.</summary>
    [Theory]
    [InlineData(12040, 12)]
    [InlineData(13000, 13)]
    [InlineData(14000, 13)]
    public async Task The_compiler_is_none_that_is_newer_than_the_driver(int driver, int expected)
    {
        if (OwnProcess.Told is { } told)
        {
            Assert.Equal(int.Parse(told, System.Globalization.CultureInfo.InvariantCulture), Nvrtc.GetVersion().Major);
            return;
        }

        await OwnProcess.RunAsync(
            nameof(The_compiler_is_none_that_is_newer_than_the_driver), $"{expected}", _libraries.WithDriver(driver).WithNvrtc(12).WithNvrtc(13).SearchPath);
    }

    [Fact]
    public async Task Where_every_compiler_is_too_new_the_sentence_says_which_is_needed()
    {
        if (OwnProcess.Told is not null)
        {
            Assert.False(Nvrtc.TryLoad(null, out string? reason));
            Assert.Contains("libnvrtc.so.12 was not found", reason, StringComparison.Ordinal);
            Assert.Contains("the driver loads nothing that a CUDA newer than 12 compiles", reason, StringComparison.Ordinal);
            Assert.Equal(reason, Assert.Throws<CudaException>(Nvrtc.GetVersion).Message);
            return;
        }

        await OwnProcess.RunAsync(
            nameof(Where_every_compiler_is_too_new_the_sentence_says_which_is_needed), "", _libraries.WithDriver(12040).WithNvrtc(13).SearchPath);
    }

    [Fact]
    public async Task A_compiler_that_is_named_and_too_new_is_refused_with_both_versions()
    {
        if (OwnProcess.Told is { } path)
        {
            Assert.False(Nvrtc.TryLoad(path, out string? reason));
            Assert.EndsWith($"'{path}' is NVRTC 13.0, and the driver loads nothing that a CUDA newer than 12 compiles.", reason, StringComparison.Ordinal);
            return;
        }

        FakeLibraries libraries = _libraries.WithDriver(12040).WithNvrtc(13);
        await OwnProcess.RunAsync(nameof(A_compiler_that_is_named_and_too_new_is_refused_with_both_versions), libraries.PathOf("libnvrtc.so.13"), libraries.SearchPath);
    }

    [Fact]
    public async Task A_compiler_that_is_named_is_taken_and_not_the_one_that_the_search_finds()
    {
        if (OwnProcess.Told is { } path)
        {
            var compiler = new KernelCompiler(new KernelCompilerOptions { NvrtcPath = path });
            Assert.True(compiler.TryLoadNvrtc(out string? reason), reason);
            Assert.Equal(12, Nvrtc.GetVersion().Major);
            return;
        }

        FakeLibraries libraries = _libraries.WithDriver(13000).WithNvrtc(13).WithNvrtc(12, "named");
        await OwnProcess.RunAsync(nameof(A_compiler_that_is_named_is_taken_and_not_the_one_that_the_search_finds), libraries.PathOf("named"), libraries.SearchPath);
    }

    /// <summary>What is found first and is none is said, and what is found next is taken.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_file_that_only_has_a_compilers_name_is_passed_over(bool hasAnother)
    {
        if (OwnProcess.Told is { } told)
        {
            bool isFound = Nvrtc.TryLoad(null, out string? reason);
            Assert.Equal(bool.Parse(told), isFound);
            Assert.True(isFound || (reason!.Contains("'libnvrtc.so.13' is no library that can be loaded here (", StringComparison.Ordinal)
                && reason.Contains("; libnvrtc.so.12 was not found by the system's library search: install", StringComparison.Ordinal)), reason);
            return;
        }

        FakeLibraries libraries = hasAnother ? _libraries.WithNvrtc(12) : _libraries;
        File.WriteAllText(libraries.PathOf("libnvrtc.so.13"), "version https://git-lfs.github.com/spec/v1");
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Libraries are found by a search path on Linux.");
        await OwnProcess.RunAsync(nameof(A_file_that_only_has_a_compilers_name_is_passed_over), $"{hasAnother}", libraries.SearchPath);
    }

    public void Dispose() => _libraries.Dispose();

    private async Task Refuses(string test, Func<FakeLibraries, FakeLibraries> make, params string[] expected)
    {
        if (OwnProcess.Told is { } told)
        {
            Assert.False(CudaDriver.TryLoad(out string? reason));
            Assert.All(told.Split('\n'), part => Assert.Contains(part, reason, StringComparison.Ordinal));
            Assert.Equal(reason, Assert.Throws<CudaException>(() => CudaDevice.Count).Message);
            return;
        }

        await OwnProcess.RunAsync(test, string.Join('\n', expected), make(_libraries).SearchPath, ("CUDA_VISIBLE_DEVICES", "-1"));
    }
}
