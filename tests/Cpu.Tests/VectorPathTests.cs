using System.Diagnostics;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>The kernels for processors with less: these tests again, in a process whose runtime hides instructions.</summary>
public sealed class VectorPathTests
{
    private static readonly Type[] Again = [typeof(PathTests), typeof(GoldenTests), typeof(ShapeTests), typeof(SpecialValueTests), typeof(BitsTests)];

    [Theory]
    [InlineData("EnableAVX512", "AVX2")]
    [InlineData("EnableAVX2", "128-bit vectors")]
    [InlineData("EnableHWIntrinsic", "128-bit vectors")]
    public async Task The_tests_pass_with_fewer_instructions(string setting, string path)
    {
        CancellationToken cancellationToken = TestContext.Current.CancellationToken;
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "Cpu.Tests.dll"));
        foreach (Type tests in Again)
        {
            start.ArgumentList.Add("--filter-class");
            start.ArgumentList.Add(tests.FullName!);
        }

        start.Environment[$"DOTNET_{setting}"] = "0";
        start.Environment[PathTests.Expected] = path;
        string bits = Path.GetTempFileName();
        start.Environment[BitsTests.File] = bits;
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        Task<string> error = process.StandardError.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        Assert.True(process.ExitCode == 0, $"{await output}{await error}");
        Assert.Contains("failed: 0", await output, StringComparison.Ordinal);

        // Without integers of its own the last path sums floats in another order.
        if (path == "AVX2" && System.Runtime.Intrinsics.X86.Avx2.IsSupported)
        {
            Assert.Equal(BitsTests.Compute(), await File.ReadAllTextAsync(bits, cancellationToken));
        }

        File.Delete(bits);
    }
}
