using System.Diagnostics;

namespace Moe.Plugins.Micro;

/// <summary>Copies of this program that do nothing but compute, until they are disposed, or this process ends.</summary>
internal sealed class BusyProcesses : IDisposable
{
    /// <summary>The argument that makes this program one of them.</summary>
    public const string Argument = "--busy";

    private readonly Process[] _processes;

    public BusyProcesses(int count) => _processes =
    [
        .. Enumerable.Range(0, count).Select(_ => Process.Start(
            new ProcessStartInfo(Environment.ProcessPath!, IsHosted ? [typeof(BusyProcesses).Assembly.Location, Argument] : [Argument]) { RedirectStandardInput = true })!),
    ];

    private static bool IsHosted => Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet";

    /// <summary>Computes until the standard input ends, as it does with whoever started it.</summary>
    public static void Run()
    {
        var end = new Thread(static () =>
        {
            Console.In.ReadToEnd();
            Environment.Exit(0);
        });
        end.Start();
        while (true)
        {
            Thread.SpinWait(1000);
        }
    }

    public void Dispose()
    {
        foreach (Process process in _processes)
        {
            process.Kill();
            process.WaitForExit();
            process.Dispose();
        }
    }
}
