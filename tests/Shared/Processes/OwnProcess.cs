using System.Diagnostics;

namespace Moe.Plugins.Tests;

/// <summary>Runs one test again in a process of its own, told by an environment variable that it is the inner one.</summary>
internal static class OwnProcess
{
    private const string Variable = "MOE_TEST_IN_OWN_PROCESS";

    /// <summary>What the outer test told this process; null in the outer one.</summary>
    public static string? Told => Environment.GetEnvironmentVariable(Variable);

    /// <summary>Runs a test, which must pass.</summary>
    /// <param name="test">The test's method.</param>
    /// <param name="told">What <see cref="Told"/> is there.</param>
    /// <param name="environment">Further variables.</param>
    public static async Task RunAsync(string test, string told, params IReadOnlyList<(string Name, string Value)> environment)
    {
        using Process process = Start(test, told, environment);
        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, output);
    }

    /// <summary>Starts a test, for those who end it.</summary>
    public static Process Start(string test, string told, params IReadOnlyList<(string Name, string Value)> environment)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!) { RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
        {
            start.ArgumentList.Add(typeof(OwnProcess).Assembly.Location);
        }

        start.ArgumentList.Add("--filter-method");
        start.ArgumentList.Add($"*.{test}");
        start.Environment[Variable] = told;
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        return Process.Start(start)!;
    }
}
