namespace Moe.Plugins.Cpu.Tests;

/// <summary>Which instructions the backend says that it uses.</summary>
public sealed class PathTests
{
    /// <summary>Set by a test that runs these tests again with fewer instructions.</summary>
    internal const string Expected = "MOE_CPU_TESTS_PATH";

    [Fact]
    public void The_probe_names_the_instructions_in_use()
    {
        string[] paths = Environment.GetEnvironmentVariable(Expected) is string path ? [path] : ["AVX-512", "AVX2", "128-bit vectors"];
        MoeCandidate candidate = CpuHost.Explain(CpuHost.Shared);
        Assert.True(candidate.IsEligible, candidate.ToString());
        Assert.Contains(paths, name => candidate.Message.StartsWith(name, StringComparison.Ordinal));
    }
}
