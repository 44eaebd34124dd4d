using System.Diagnostics;

namespace Moe.Plugins.Cli.Tests;

/// <summary>`moe chat` as a program: signals are a process's.</summary>
public sealed class ChatTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_interrupt_ends_the_answer_and_not_the_program()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Sends a signal with kill(1).");
        string program = Path.Combine(AppContext.BaseDirectory, "Moe.Plugins.Cli.dll");
        using Process process = Process.Start(new ProcessStartInfo("dotnet", [program, "chat", "--seed", "2", "--temperature", "1.2", "--context", "100000"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        Task<string> error = process.StandardError.ReadToEndAsync(Cancellation);
        await process.StandardInput.WriteLineAsync("Hello there".AsMemory(), Cancellation);
        char[] first = new char[8];
        Assert.Equal(first.Length, await process.StandardOutput.ReadBlockAsync(first, Cancellation));
        using (Process kill = Process.Start("kill", ["-INT", $"{process.Id}"]))
        {
            await kill.WaitForExitAsync(Cancellation);
        }

        // A library that handles signals itself ends the program two seconds later.
        await Task.Delay(TimeSpan.FromSeconds(3), Cancellation);
        Assert.False(process.HasExited);
        await process.StandardInput.WriteLineAsync("/quit".AsMemory(), Cancellation);
        await process.StandardOutput.ReadToEndAsync(Cancellation);
        await process.WaitForExitAsync(Cancellation);
        Assert.True(process.ExitCode == 0, await error);
    }
}
