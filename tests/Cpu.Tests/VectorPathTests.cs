using System.Diagnostics;
using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>The kernels for processors with less: these tests again, in a process whose runtime hides instructions.</summary>
public sealed class VectorPathTests
{
    /// <summary>The tests that compute.</summary>
    internal static readonly Type[] All =
        [typeof(PathTests), typeof(GoldenTests), typeof(ShapeTests), typeof(AwkwardSizeTests), typeof(SpecialValueTests), typeof(BitsTests)];

    [Theory]
    [InlineData("EnableAVX512", "AVX2")]
    [InlineData("EnableAVX2", "128-bit vectors")]
    public Task The_tests_pass_with_fewer_instructions(string setting, string path) => RunAgain(path, All, setting);

    /// <summary>What computes there is the path of AVX2 off, ten times as slow: that it takes no instruction unasked is seen in few tests of both formats.</summary>
    [Fact]
    public Task A_few_tests_pass_without_any_instructions_to_ask_for() =>
        RunAgain("128-bit vectors", [typeof(PathTests), typeof(AwkwardSizeTests), typeof(SpecialValueTests)], "EnableHWIntrinsic");

    [Fact]
    public Task The_tests_pass_without_dot_products_of_bytes()
    {
        Assert.SkipUnless(AvxVnni.IsSupported, "this processor has no AVX-VNNI, so the test of AVX2 ran without it");
        return RunAgain("AVX2,", All, "EnableAVX512", "EnableAVXVNNI");
    }

    [Fact]
    public Task The_tests_pass_with_AVX512_that_has_no_dot_products()
    {
        Assert.SkipUnless(Avx512Vbmi2.IsSupported, "this processor has no VNNI for 512 bits, so the tests ran without it");
        return RunAgain("AVX-512,", All, "EnableAVX512v3");
    }

    private static Task RunAgain(string path, IEnumerable<Type> again, params IEnumerable<string> settings)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Cpu.Tests.dll")]);
        foreach (string setting in settings)
        {
            start.Environment[$"DOTNET_{setting}"] = "0";
        }

        return RunAgain(start, path, again);
    }

    /// <summary>Runs the tests in a process where they use a certain path, and compares bits where both processes have digits.</summary>
    /// <param name="start">Starts this assembly's tests; what it is told is added.</param>
    /// <param name="path">The instructions that they use there.</param>
    /// <param name="again">The tests.</param>
    internal static async Task RunAgain(ProcessStartInfo start, string path, params IEnumerable<Type> again)
    {
        CancellationToken cancellationToken = TestContext.Current.CancellationToken;
        start.RedirectStandardOutput = start.RedirectStandardError = true;
        foreach (Type tests in again)
        {
            start.ArgumentList.Add("--filter-class");
            start.ArgumentList.Add(tests.FullName!);
        }

        start.Environment[PathTests.Expected] = path;
        string bits = Path.GetTempFileName();
        start.Environment[BitsTests.File] = bits;
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        Task<string> error = process.StandardError.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        Assert.True(process.ExitCode == 0, $"{await output}{await error}");
        Assert.Contains("failed: 0", await output, StringComparison.Ordinal);

        // Without integers of its own the 128-bit path sums floats in another order.
        if (path != "128-bit vectors" && Avx2.IsSupported && again.Contains(typeof(BitsTests)))
        {
            Assert.Equal(BitsTests.Compute(), await File.ReadAllTextAsync(bits, cancellationToken));
        }

        File.Delete(bits);
    }
}
